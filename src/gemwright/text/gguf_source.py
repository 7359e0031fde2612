"""The vocabulary inside a GGUF file: used as it lies in the mapped file, nothing is copied here."""

from __future__ import annotations

from typing import Any

import numpy as np

from gemwright.errors import ModelFormatError, UnsupportedModel
from gemwright.text.pieces import Checkpoint, Pieces

_KEY = "tokenizer.ggml."


def gguf_pieces(checkpoint: Checkpoint) -> Pieces:
    """The pieces of a GGUF checkpoint. Raises ModelFormatError (absent, wrong type) or UnsupportedModel (another kind).

    Pieces of type 4 that are runs of spaces stand for runs of U+2581 (the converter replaces the mark), and every
    added piece has the score -1000 whatever its rank was; the index puts both right.
    """
    config, path = checkpoint.config, checkpoint.path
    model = config.get(_KEY + "model")
    if model is None:
        raise ModelFormatError(f"{path} holds no tokenizer ({_KEY}model).")
    if model != "llama":
        raise UnsupportedModel(f"{path} has a tokenizer of kind {model!r}.", hint="Gemma 1 to 3 have kind 'llama'.")
    if config.get(_KEY + "add_space_prefix"):
        raise UnsupportedModel(f"{path} has a tokenizer that puts a space before every text; Gemma's does not.")
    tokens = config.get(_KEY + "tokens")
    raw, count = getattr(tokens, "raw", None), getattr(tokens, "count", None)
    if not isinstance(raw, np.ndarray) or not isinstance(count, int):
        raise ModelFormatError(f"{path}: {_KEY}tokens is not an array of strings.")
    scores = _numbers(config, _KEY + "scores", count, "f", path)
    types = _numbers(config, _KEY + "token_type", count, "iu", path)
    return Pieces(raw, scores.astype(np.float32, copy=False), types.astype(np.int32, copy=False), str(path))


def _numbers(config: Any, key: str, count: int, kinds: str, path: object) -> Any:
    values = config.get(key)
    if not isinstance(values, np.ndarray) or values.dtype.kind not in kinds or values.shape != (count,):
        raise ModelFormatError(f"{path}: {key} is not an array of {count:,} numbers, one for each token.")
    return np.ascontiguousarray(values)
