"""`tokenizer.model`: SentencePiece's protobuf, of which pieces, scores, types and five settings are read.

Source: google/sentencepiece src/sentencepiece_model.proto. Field numbers used: ModelProto {1 pieces, 2 trainer_spec,
3 normalizer_spec}; SentencePiece {1 piece, 2 score, 3 type}; TrainerSpec {3 model_type, 35 byte_fallback};
NormalizerSpec {2 precompiled_charsmap, 3 add_dummy_prefix, 4 remove_extra_whitespaces}.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from gemwright.errors import ModelFormatError, UnsupportedModel
from gemwright.text.files import read_bounded
from gemwright.text.pieces import Pieces, PieceType, pack, tabs_as_typed

MAX_BYTES = 64 << 20
"""Gemma 3's has under 5 MB."""

_BPE = 2
_FLOAT = struct.Struct("<f")


def sentencepiece_pieces(path: Path) -> Pieces:
    """The pieces in `path`. Raises FileError, ModelFormatError (not such a file) or UnsupportedModel (another kind)."""
    data = read_bounded(path, MAX_BYTES)
    spellings: list[bytes] = []
    scores: list[float] = []
    types: list[int] = []
    trainer: dict[int, bytes | int] = {}
    normalizer: dict[int, bytes | int] = {}
    try:
        for number, value in _fields(data, 0, len(data)):
            if number == 1:
                piece = dict(_fields(data, *_span(value)))
                spellings.append(_bytes(data, piece[1]))
                scores.append(_float(data, piece.get(2)))
                types.append(_enum(piece.get(3, PieceType.NORMAL)))
            elif number in (2, 3):
                fields = _fields(data, *_span(value))
                (trainer if number == 2 else normalizer).update(
                    (key, _bytes(data, item) if isinstance(item, tuple) else item) for key, item in fields
                )
    except (IndexError, KeyError, TypeError, struct.error) as error:
        raise ModelFormatError(f"{path} is no SentencePiece model, or is damaged.") from error
    _check(path, trainer, normalizer)
    return tabs_as_typed(pack(spellings, scores, types, str(path)))


def _check(path: Path, trainer: dict[int, bytes | int], normalizer: dict[int, bytes | int]) -> None:
    """Settings under which encoding is what ours does; protobuf's defaults where the file says nothing."""
    wanted = (
        ("model_type", trainer.get(3, 1), _BPE),
        ("byte_fallback", trainer.get(35, 0), 1),
        ("precompiled_charsmap", normalizer.get(2, b""), b""),
        ("add_dummy_prefix", normalizer.get(3, 1), 0),
        ("remove_extra_whitespaces", normalizer.get(4, 1), 0),
    )
    for name, value, needed in wanted:
        if value != needed:
            shown = f"{len(value):,} bytes" if isinstance(value, bytes) else value
            raise UnsupportedModel(f"{path} has {name} = {shown}; Gemma's tokenizer has {needed!r}.")


_Value = int | tuple[int, int]


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, _Value]]:
    """(number, value) of each field in data[at:end]; a length-delimited or fixed value is its (start, end)."""
    while at < end:
        key, at = _varint(data, at, end)
        wire = key & 7
        if wire == 0:
            number, at = _varint(data, at, end)
            yield key >> 3, number
            continue
        if wire == 2:
            size, at = _varint(data, at, end)
        else:
            size = {1: 8, 5: 4}[wire]
        if size > end - at:
            raise IndexError
        yield key >> 3, (at, at + size)
        at += size


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if at >= end:
            raise IndexError
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise IndexError


def _span(value: _Value) -> tuple[int, int]:
    if isinstance(value, int):
        raise TypeError
    return value


def _bytes(data: bytes, value: _Value) -> bytes:
    start, end = _span(value)
    return data[start:end]


def _float(data: bytes, value: _Value | None) -> float:
    if value is None:
        return 0.0
    start, end = _span(value)
    if end - start != 4:
        raise TypeError
    return float(_FLOAT.unpack_from(data, start)[0])


def _enum(value: _Value) -> int:
    if not isinstance(value, int) or not 1 <= value <= 6:
        raise TypeError
    return value
