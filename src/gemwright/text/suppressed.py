"""Tokens that a checkpoint says are never to be drawn, such as the ends of images in Gemma 4 12B.

Their rows of the embedding were overwritten for another purpose, so their logits mean nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gemwright.errors import ModelFormatError
from gemwright.text.pieces import Checkpoint
from gemwright.text.tuning import read_object

GGUF_KEY = "tokenizer.ggml.suppress_tokens"
MAX_TOKENS = 1024


def suppressed_tokens(checkpoint: Checkpoint, vocabulary: int) -> frozenset[int]:
    """From generation_config.json or the GGUF metadata; those outside the vocabulary cannot be drawn anyway.

    Raises ModelFormatError for what is not a list of at most MAX_TOKENS whole numbers.
    """
    listed = checkpoint.config.get(GGUF_KEY) if checkpoint.kind == "gguf" else _from_generation_config(checkpoint)
    ids = listed.tolist() if isinstance(listed, np.ndarray) else listed
    if ids is None:
        return frozenset()
    if not isinstance(ids, list) or len(ids) > MAX_TOKENS or any(type(id) is not int for id in ids):
        raise ModelFormatError(f"The tokens never to be drawn are not a list of at most {MAX_TOKENS} whole numbers.")
    return frozenset(id for id in ids if 0 <= id < vocabulary)


def _from_generation_config(checkpoint: Checkpoint) -> Any:
    path = checkpoint.directory / "generation_config.json"
    return read_object(path).get("suppress_tokens") if path.exists() else None
