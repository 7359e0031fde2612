"""The vocabulary inside a GGUF file: used as it lies in the mapped file, nothing is copied here."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from gemwright._tokenizer import Vocabulary
from gemwright.errors import ModelFormatError, UnsupportedModel
from gemwright.text.merges import RESERVED, check_merges, merge_scores
from gemwright.text.pieces import Checkpoint, Pieces, PieceType, spellings, strings, tabs_as_typed

_KEY = "tokenizer.ggml."
_GEMMA_3_PIECES = 262_144
"""From Gemma 3 on, runs of tabs are user-defined in the files; looking at every piece would double the time to load."""
_AS_TYPED = re.compile(
    rb"\n+|\t+|(?:\xe2\x96\x81){2,}|</?(?:a|b|bbox|blockquote|body|caption|code|div|em|footer|h[1-6]|html|i|iframe|img|li|s|"
    rb"span|strong|su[bp]|t(?:able|body|d|foot|h|head|r)|ul?)>"
)
"""What native/tokenizer/vocabulary.cpp (is_plain_text) takes for text that is found before anything is merged."""


def gguf_pieces(checkpoint: Checkpoint) -> Pieces:
    """The pieces of a GGUF checkpoint. Raises ModelFormatError (absent, wrong type) or UnsupportedModel (another kind).

    Pieces of type 4 that are runs of spaces stand for runs of U+2581 (the converter replaces the mark), and every
    added piece has the score -1000 whatever its rank was; the index puts both right.
    """
    config, path = checkpoint.config, checkpoint.path
    model = config.get(_KEY + "model")
    if model is None:
        raise ModelFormatError(f"{path} holds no tokenizer ({_KEY}model).")
    if model not in ("llama", "gemma4"):
        raise UnsupportedModel(
            f"{path} has a tokenizer of kind {model!r}.", hint="Gemma 1 to 3n have kind 'llama', Gemma 4 has 'gemma4'."
        )
    if config.get(_KEY + "add_space_prefix"):
        raise UnsupportedModel(f"{path} has a tokenizer that puts a space before every text; Gemma's does not.")
    tokens = config.get(_KEY + "tokens")
    raw, count = getattr(tokens, "raw", None), getattr(tokens, "count", None)
    if not isinstance(raw, np.ndarray) or not isinstance(count, int):
        raise ModelFormatError(f"{path}: {_KEY}tokens is not an array of strings.")
    scores = _numbers(config, _KEY + "scores", count, "f", path)
    types = _numbers(config, _KEY + "token_type", count, "iu", path)
    pieces = Pieces(raw, scores.astype(np.float32, copy=False), types.astype(np.int32, copy=False), str(path))
    if model == "gemma4":
        return _by_merges(pieces, config.get(_KEY + "merges"))
    return tabs_as_typed(pieces) if count < _GEMMA_3_PIECES else pieces


def _by_merges(pieces: Pieces, merges: Any) -> Pieces:
    """The same with the scores that the file's merge list implies; Gemma 4's files give every piece the score -1000.

    The converter writes the list and what llama.cpp calls kind "gemma4": merges over whole text, spaces as U+2581,
    bytes for what no piece covers (ggml-org/llama.cpp, conversion/gemma.py and src/llama-vocab.cpp). A run of line
    breaks that is a piece stays whole there by a rule of its own; here such runs, and HTML tags, are pieces as they are
    typed, as in Gemma's SentencePiece model, though the converter lists them like words.
    Takes two to three seconds. Raises UnsupportedModel if the list does anything else than our encoder.
    """
    raw, count = getattr(merges, "raw", None), getattr(merges, "count", None)
    if not isinstance(raw, np.ndarray) or not isinstance(count, int):
        raise ModelFormatError(f"{pieces.source}: {_KEY}merges is not an array of strings.")
    pairs = [merge.split(b" ") for merge in strings(raw, count)]
    if not all(len(pair) == 2 for pair in pairs):
        raise ModelFormatError(f"{pieces.source}: a merge in {_KEY}merges is not of two pieces.")
    spelled = list(spellings(pieces))
    types = pieces.types.copy()
    for id in np.flatnonzero(types == PieceType.NORMAL).tolist():
        if RESERVED.fullmatch(spelled[id]):
            types[id] = PieceType.CONTROL
        elif _AS_TYPED.fullmatch(spelled[id]):
            types[id] = PieceType.USER_DEFINED
    ids = {piece: id for id, piece in enumerate(spelled)}
    apart = {spelled[id] for id in np.flatnonzero((types != PieceType.NORMAL) & (types != PieceType.BYTE)).tolist()}
    scores = merge_scores(len(spelled), pairs, ids, apart)
    ranked = Pieces(pieces.raw, np.array(scores, np.float32), types, pieces.source)
    try:
        vocabulary = Vocabulary(ranked.raw, ranked.scores, ranked.types)
    except ValueError as error:
        raise ModelFormatError(f"{pieces.source}: {error}.") from error
    check_merges(vocabulary, pairs, ids, pieces.source)
    return ranked


def _numbers(config: Any, key: str, count: int, kinds: str, path: object) -> Any:
    values = config.get(key)
    if not isinstance(values, np.ndarray) or values.dtype.kind not in kinds or values.shape != (count,):
        raise ModelFormatError(f"{path}: {key} is not an array of {count:,} numbers, one for each token.")
    return np.ascontiguousarray(values)
