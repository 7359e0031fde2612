"""`tokenizer.json` of Hugging Face: the vocabulary, and a merge list that must be the one the vocabulary implies.

The files of Gemma 1 and 2 are of an older making, in two ways. They call the byte piece <0x09> by its character, so
that runs of tabs can be merged; here such runs are found whole, with the same ids. And of the ways to halve a piece
they list the one with the lower ids first; which halves come first matters only to white space of more than 31
characters, where our ids are those of Gemma's SentencePiece model.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from gemwright._tokenizer import Vocabulary
from gemwright.errors import ModelFormatError, UnsupportedModel
from gemwright.text.files import read_bounded
from gemwright.text.merges import RESERVED, check_merges, in_our_order, merge_scores
from gemwright.text.pieces import Pieces, PieceType, pack

MAX_BYTES = 64 << 20
"""Gemma 3's has 33 MB."""

MAX_PIECES = 1 << 20
MAX_GAPS = 1024
"""Ids without a piece: Gemma 3n's tokens for sound lie behind some that nothing is said of."""

_TAB = "<0x09>"
_TABS = re.compile(r"\t{2,}")
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_SPACE = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
_SPLIT = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
_MODEL = {
    "type": ("BPE",),
    "byte_fallback": (True,),
    "dropout": (None,),
    "continuing_subword_prefix": (None, ""),
    "end_of_word_suffix": (None, ""),
    "ignore_merges": (None, False),
}


def json_vocabulary(path: Path) -> Vocabulary:
    """The vocabulary in `path`, its merges checked. Takes two to three seconds for Gemma 3's.

    Raises FileError, ModelFormatError (not such a file) or UnsupportedModel (it works differently from Gemma's).
    """
    return _checked(path)[0]


def json_pieces(path: Path) -> Pieces:
    """The same vocabulary as plain arrays, checked just so."""
    return _checked(path)[1]


def _checked(path: Path) -> tuple[Vocabulary, Pieces]:
    try:
        content = json.loads(read_bounded(path, MAX_BYTES))
    except (ValueError, RecursionError) as error:
        raise ModelFormatError(f"{path} is not sound JSON: {error}.") from error
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, dict):
        raise ModelFormatError(f"{path} holds no tokenizer model.")
    _check_kind(path, content, model)
    ids = _ids(path, model.get("vocab"))
    merges = _merges(path, model.get("merges"))
    older = "\t" in ids and _TAB not in ids
    if older:
        ids = {_TAB if spelling == "\t" else spelling: id for spelling, id in ids.items()}
        merges = [pair for pair in merges if "\t" not in pair]
    pieces = _pieces(path, ids, merges, content.get("added_tokens"))
    try:
        vocabulary = Vocabulary(pieces.raw, pieces.scores, pieces.types)
    except ValueError as error:
        raise ModelFormatError(f"{path}: {error}.") from error
    check_merges(vocabulary, in_our_order(merges, ids, pieces) if older else merges, ids, path)
    return vocabulary, pieces


def _check_kind(path: Path, content: dict[str, Any], model: dict[str, Any]) -> None:
    for key, allowed in _MODEL.items():
        if model.get(key) not in allowed:
            raise UnsupportedModel(f"{path} has model.{key} = {model.get(key)!r:.80}; Gemma's has {allowed[0]!r}.")
    if content.get("normalizer") != _SPACE:
        raise UnsupportedModel(f"{path} normalises text otherwise than by making spaces U+2581, as Gemma's does.")
    if content.get("pre_tokenizer") not in (None, _SPLIT):
        raise UnsupportedModel(f"{path} splits text in a way that Gemma's tokenizer does not.")


def _ids(path: Path, vocab: Any) -> dict[str, int]:
    if not isinstance(vocab, dict) or not all(type(id) is int for id in vocab.values()):
        raise ModelFormatError(f"{path} holds no vocabulary (model.vocab).")
    if len(vocab) > MAX_PIECES:
        raise ModelFormatError(f"{path} holds {len(vocab):,} pieces: at most {MAX_PIECES:,} are possible.")
    return vocab


def _merges(path: Path, merges: Any) -> list[list[str]]:
    """Pairs; older files write "left right" in one string."""
    if isinstance(merges, list):
        pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
        if all(isinstance(p, list) and len(p) == 2 and type(p[0]) is str and type(p[1]) is str for p in pairs):
            return pairs
    raise ModelFormatError(f"{path} holds no list of merges (model.merges), each of two pieces.")


def _pieces(path: Path, ids: dict[str, int], merges: list[list[str]], added: Any) -> Pieces:
    special = {spelling: is_special for spelling, _, is_special in _added(path, added)}
    places = {**{spelling: id for spelling, id, _ in _added(path, added)}, **ids}
    count = max(places.values(), default=-1) + 1
    if count - len(places) > MAX_GAPS:
        raise ModelFormatError(f"{path} gives {len(places):,} pieces ids up to {count - 1:,}.")
    spellings: list[str | None] = [None] * count
    for spelling, id in places.items():
        if id < 0 or spellings[id] is not None:
            raise ModelFormatError(f"{path}: ids are not 0 to {count - 1:,}, each at most once ({spelling!r}: {id}).")
        spellings[id] = spelling
    scores = merge_scores(count, merges, ids, {*special, *filter(_TABS.fullmatch, ids)})
    types = [PieceType.UNUSED if spelling is None else _type(spelling, special) for spelling in spellings]
    named = [f"[PAD{id}]" if spelling is None else spelling for id, spelling in enumerate(spellings)]
    try:
        return pack([spelling.encode() for spelling in named], scores, types, str(path))
    except UnicodeEncodeError as error:
        raise ModelFormatError(f"{path}: a piece is not valid Unicode: {error.object!r}.") from error


def _type(spelling: str, special: dict[str, bool]) -> PieceType:
    if spelling in special:
        return PieceType.CONTROL if special[spelling] else PieceType.USER_DEFINED
    if _TABS.fullmatch(spelling):
        return PieceType.USER_DEFINED
    if RESERVED.fullmatch(spelling.encode("utf-8", "replace")):
        return PieceType.CONTROL
    return PieceType.BYTE if _BYTE.fullmatch(spelling) else PieceType.NORMAL


def _added(path: Path, added: Any) -> list[tuple[str, int, bool]]:
    """(spelling, id, whether it is special) of each added token; all must be found as they stand, in raw text."""
    result = []
    for token in added if isinstance(added, list) else []:
        match token:
            case {"content": str(spelling), "id": int(id), "special": bool(special)}:
                result.append((spelling, id, special))
            case _:
                raise ModelFormatError(f"{path}: an added token lacks its content, id or special: {token!r:.200}.")
        if any(token.get(flag) for flag in ("single_word", "lstrip", "rstrip", "normalized")):
            raise UnsupportedModel(f"{path}: the added token {spelling!r} has conditions; Gemma's have none.")
    return result
