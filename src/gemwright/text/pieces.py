"""A vocabulary as plain arrays, the form every source is brought to before it is indexed."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt


class PieceType(IntEnum):
    """SentencePiece's numbers, which GGUF shares."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True, eq=False)
class Pieces:
    """A vocabulary of V pieces; the token id is the place.

    raw: uint8, each piece as a little-endian uint64 length and that many bytes (GGUF's string array as it lies).
    scores: float32[V], higher merges first. types: int32[V], see PieceType.
    source: what to call it in errors.
    """

    raw: npt.NDArray[np.uint8]
    scores: npt.NDArray[np.float32]
    types: npt.NDArray[np.int32]
    source: str


class Checkpoint(Protocol):
    """What is needed here of `gemwright.weights.Checkpoint`."""

    @property
    def path(self) -> Path: ...
    @property
    def directory(self) -> Path: ...
    @property
    def kind(self) -> str: ...
    @property
    def config(self) -> Mapping[str, Any]: ...


def pack(spellings: Sequence[bytes], scores: Sequence[float], types: Sequence[int], source: str) -> Pieces:
    """The pieces `spellings`, in the order of their ids."""
    length = struct.Struct("<Q").pack
    raw = b"".join(part for spelling in spellings for part in (length(len(spelling)), spelling))
    return Pieces(np.frombuffer(raw, np.uint8), np.array(scores, np.float32), np.array(types, np.int32), source)


def tabs_as_typed(pieces: Pieces) -> Pieces:
    """The same with runs of tabs as user-defined pieces: found whole.

    Gemma 1 and 2 list them like words, but have no piece for one tab that they could be merged from. SentencePiece
    merges characters whether or not they are pieces; our encoder merges pieces.
    """
    types = pieces.types.copy()
    for id, spelling in enumerate(spellings(pieces)):
        if len(spelling) > 1 and spelling.strip(b"\t") == b"" and types[id] == PieceType.NORMAL:
            types[id] = PieceType.USER_DEFINED
    return Pieces(pieces.raw, pieces.scores, types, pieces.source)


def spellings(pieces: Pieces) -> Iterator[bytes]:
    """The pieces' bytes in the order of their ids: the inverse of `pack`."""
    return strings(pieces.raw, len(pieces.types))


def strings(raw: npt.NDArray[np.uint8], count: int) -> Iterator[bytes]:
    """`count` strings that lie as GGUF has them: a length of eight bytes before each."""
    view, at = raw.data, 0
    for _ in range(count):
        end = at + 8 + int.from_bytes(view[at : at + 8], "little")
        yield bytes(view[at + 8 : end])
        at = end
