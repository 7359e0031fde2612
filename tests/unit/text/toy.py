"""A small vocabulary of Gemma's make, a slow tokenizer to compare with, and the three kinds of files it comes in."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np

from gemwright.text.pieces import Pieces, PieceType, pack

CONTROL = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<unused0>", "<start_of_turn>", "<end_of_turn>")
RUNS = tuple("▁" * count for count in range(2, 8))
LITERALS = ("\n", "\n\n", "\n\n\n", *RUNS, "<b>", "</b>", "<table>", "[multimodal]", "\t")
CHARACTERS = "▁abcdelstTuU<>/:ér的"
MERGED = (
    "▁t",
    "ta",
    "ab",
    "bl",
    "abl",
    "able",
    "le",
    "table",
    "▁a",
    "aa",
    "aaaa",
    "aab",
    "és",
    "的的",
    "▁▁a",
    ">▁<",
    "<b",
    "er",
)


@dataclass(frozen=True)
class Toy:
    """Pieces in the order of their ids, written as in tokenizer.json (U+2581 for a space)."""

    spellings: tuple[str, ...]
    scores: tuple[float, ...]
    types: tuple[PieceType, ...]

    @classmethod
    def of(cls, merged: Sequence[str] = MERGED, characters: str = CHARACTERS, ties: int = 1) -> Toy:
        """merged: best first, `ties` neighbours having the same score; longer than one character."""
        parts = [(CONTROL, PieceType.CONTROL), (LITERALS, PieceType.USER_DEFINED)]
        parts += [([f"<0x{byte:02X}>" for byte in range(256)], PieceType.BYTE)]
        parts += [([*merged, *characters], PieceType.NORMAL)]
        typed = [(spelling, type_) for spellings, type_ in parts for spelling in spellings]
        rank = {piece: -float(place // ties) for place, piece in enumerate(merged)}
        scores = [0.0 if t == PieceType.BYTE else rank.get(s, -1000.0) for s, t in typed]
        return cls(tuple(s for s, _ in typed), tuple(scores), tuple(t for _, t in typed))

    def id(self, spelling: str) -> int:
        return self.spellings.index(spelling)

    def pieces(self) -> Pieces:
        return pack([s.encode() for s in self.spellings], self.scores, self.types, "toy")

    def is_text(self, id: int) -> bool:
        return self.types[id] in (PieceType.NORMAL, PieceType.USER_DEFINED)

    def merges(self) -> list[tuple[str, str]]:
        """The merge list of tokenizer.json: every way to halve a piece, by score, then long left, then long right half.
        (How the reference's own converter orders them; pieces that were added count as of the best score.)"""
        ids = {s: i for i, s in enumerate(self.spellings) if self.is_text(i)}
        found = []
        for piece, id in ids.items():
            score = 0.0 if self.types[id] == PieceType.USER_DEFINED else self.scores[id]
            halves = [(piece[:cut], piece[cut:]) for cut in range(1, len(piece))]
            known = sorted(
                (half for half in halves if half[0] in ids and half[1] in ids), key=lambda h: (ids[h[0]], ids[h[1]])
            )
            found += [(score, left, right) for left, right in known]
        found.sort(key=lambda item: (item[0], len(item[1]), len(item[2])), reverse=True)  # stable
        return [(left, right) for _, left, right in found]


def slow_encode(toy: Toy, text: str, *, control: bool = False) -> list[int]:
    """Ids by the letter: added tokens first, leftmost and longest; then, again and again, the leftmost best merge."""
    ids = {s: i for i, s in enumerate(toy.spellings) if toy.is_text(i)}
    literals = [*LITERALS, *(CONTROL if control else ())]
    pattern = "|".join(re.escape(s) for s in sorted(literals, key=len, reverse=True))
    ranks = {pair: rank for rank, pair in enumerate(toy.merges())}
    result: list[int] = []
    for part in re.split(f"({pattern})", text):
        if part in literals:
            result.append(toy.id(part))
            continue
        symbols: list[str | int] = []
        for c in part.replace(" ", "▁"):
            if c in ids:
                symbols.append(c)
            else:
                symbols += [toy.id(f"<0x{byte:02X}>") for byte in c.encode("utf-8", "surrogateescape")]
        while True:
            pairs = [ranks.get(pair, len(ranks)) for pair in pairwise(symbols)]  # type: ignore[call-overload]
            if not pairs or min(pairs) == len(ranks):
                break
            at = pairs.index(min(pairs))
            symbols[at : at + 2] = [f"{symbols[at]}{symbols[at + 1]}"]
        result += [symbol if isinstance(symbol, int) else ids[symbol] for symbol in symbols]
    return result


def gguf_checkpoint(toy: Toy, path: Path = Path("toy.gguf"), **changes: Any) -> Any:
    """As a GGUF file gives it: added pieces hold spaces for U+2581 and score -1000."""
    added = [t == PieceType.USER_DEFINED for t in toy.types]
    spellings = [s.replace("▁", " ") if a else s for s, a in zip(toy.spellings, added, strict=True)]
    scores = [-1000.0 if a else s for s, a in zip(toy.scores, added, strict=True)]
    packed = pack([s.encode() for s in spellings], scores, toy.types, "")
    values = {
        "model": "llama",
        "add_space_prefix": False,
        "tokens": SimpleNamespace(raw=packed.raw, count=len(spellings)),
        "scores": packed.scores,
        "token_type": packed.types,
    }
    config = {f"tokenizer.ggml.{key}": value for key, value in {**values, **changes}.items() if value is not None}
    return SimpleNamespace(path=path, directory=path.parent, kind="gguf", config=MappingProxyType(config))


def json_definition(toy: Toy, special: Iterable[str] = CONTROL[:4]) -> dict[str, Any]:
    """The content of tokenizer.json; only some control tokens are marked special there, as in Gemma's."""
    added = [
        s for s, t in zip(toy.spellings, toy.types, strict=True) if t in (PieceType.CONTROL, PieceType.USER_DEFINED)
    ]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {
        "added_tokens": [{"id": toy.id(s), "content": s, "special": s in set(special), **flags} for s in added],
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": {
            "type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False,
        },
        "model": {
            "type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
            "vocab": {s: i for i, s in enumerate(toy.spellings)},
            "merges": [list(pair) for pair in toy.merges()],
        },
    }  # fmt: skip


def write_json(directory: Path, definition: Any) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "tokenizer.json"
    path.write_text(json.dumps(definition), "utf-8")
    return path


TRAINER = {3: 2, 35: 1}
NORMALIZER: dict[int, int | bytes] = {1: b"identity", 2: b"", 3: 0, 4: 0}


def sentencepiece_bytes(
    pieces: Sequence[tuple[bytes, float, int]], trainer: Any = TRAINER, normalizer: Any = NORMALIZER
) -> bytes:
    """A tokenizer.model: SentencePiece's ModelProto with (spelling, score, type) of each piece."""
    parts = []
    for spelling, score, type_ in pieces:
        parts.append(_field(1, _field(1, spelling) + bytes([2 << 3 | 5]) + struct.pack("<f", score) + _field(3, type_)))
    settings = ((2, trainer), (3, normalizer))
    parts += [_field(n, b"".join(_field(key, value) for key, value in fields.items())) for n, fields in settings]
    return b"".join(parts)


def toy_sentencepiece(toy: Toy) -> bytes:
    """As SentencePiece has it: turn marks and their like are user-defined there, and <unk> is of its own type."""
    types = [
        PieceType.UNKNOWN
        if s == "<unk>"
        else PieceType.USER_DEFINED
        if t == PieceType.CONTROL and s not in CONTROL[:3]
        else t
        for s, t in zip(toy.spellings, toy.types, strict=True)
    ]
    return sentencepiece_bytes(
        [(s.encode(), v, int(t)) for s, v, t in zip(toy.spellings, toy.scores, types, strict=True)]
    )


def _varint(number: int) -> bytes:
    return bytes([number]) if number < 0x80 else bytes([number & 0x7F | 0x80]) + _varint(number >> 7)


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def raw_pieces(spellings: Sequence[bytes], types: Sequence[int], scores: Sequence[float] | None = None) -> Pieces:
    """Pieces that need not make sense."""
    return pack(spellings, scores or [0.0] * len(spellings), types, "broken")


def as_array(raw: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.frombuffer(raw, np.uint8)
