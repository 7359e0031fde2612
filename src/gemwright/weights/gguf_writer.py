"""Writing GGUF version 3, the layout `gguf` reads: header, metadata, tensor records, then the tensors, each aligned."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gemwright.weights.strings import StringArray
from gemwright.weights.types import TensorType

ALIGNMENT = 32

_UINT32, _INT32, _FLOAT32, _BOOL, _STRING, _ARRAY, _UINT64, _INT64 = 4, 5, 6, 7, 8, 9, 10, 11
_ELEMENTS = {"u1": 0, "i1": 1, "u2": 2, "i2": 3, "u4": 4, "i4": 5, "f4": 6, "b1": 7, "u8": 10, "i8": 11, "f8": 12}
"""GGUF's number of a NumPy kind and width."""

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Entry:
    """A tensor to be written. shape: row-major. parts: its bytes in order, made when they are wanted."""

    name: str
    type: TensorType
    shape: tuple[int, ...]
    parts: Callable[[], Iterable[Bytes]]

    @property
    def nbytes(self) -> int:
        """Bytes of its blocks."""
        return math.prod(self.shape) // self.type.block_values * self.type.block_bytes


def file_bytes(metadata: Mapping[str, Any], entries: Sequence[Entry]) -> int:
    """The size of the file that `write_gguf` makes."""
    return len(_head(metadata, entries)) + sum(_padded(entry.nbytes) for entry in entries)


def write_gguf(write: Callable[[Any], None], metadata: Mapping[str, Any], entries: Sequence[Entry]) -> None:
    """Gives the file to `write`, part by part.

    metadata: str, bool, int (as uint32, or wider where needed), float (as float32), StringArray, sequences of str and
    arrays of numbers. `general.alignment` must not be among them.
    """
    write(_head(metadata, entries))
    for entry in entries:
        written = 0
        for part in entry.parts():
            write(part.data)
            written += part.nbytes
        assert written == entry.nbytes, f"{entry.name}: {written} bytes instead of {entry.nbytes}"
        write(bytes(_padded(written) - written))


def _head(metadata: Mapping[str, Any], entries: Sequence[Entry]) -> bytes:
    parts = [b"GGUF", struct.pack("<IQQ", 3, len(entries), len(metadata))]
    for key, value in metadata.items():
        parts += [_text(key.encode()), _value(value)]
    offset = 0
    for entry in entries:
        dimensions = struct.pack(f"<I{len(entry.shape)}Q", len(entry.shape), *reversed(entry.shape))
        parts += [_text(entry.name.encode()), dimensions, struct.pack("<IQ", entry.type, offset)]
        offset += _padded(entry.nbytes)
    head = b"".join(parts)
    return head + bytes(_padded(len(head)) - len(head))


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _text(value.encode())
    if isinstance(value, bool):
        return struct.pack("<IB", _BOOL, value)
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return struct.pack("<If", _FLOAT32, value)
    if isinstance(value, StringArray):
        return struct.pack("<IIQ", _ARRAY, _STRING, len(value)) + value.raw.tobytes()
    if isinstance(value, np.ndarray):
        element = _ELEMENTS[f"{value.dtype.kind}{value.dtype.itemsize}"]
        raw = np.ascontiguousarray(value, value.dtype.newbyteorder("<")).tobytes()
        return struct.pack("<IIQ", _ARRAY, element, len(value)) + raw
    return struct.pack("<IIQ", _ARRAY, _STRING, len(value)) + b"".join(_text(item.encode()) for item in value)


def _integer(value: int) -> bytes:
    if 0 <= value < 1 << 32:
        return struct.pack("<II", _UINT32, value)
    if -(1 << 31) <= value < 0:
        return struct.pack("<Ii", _INT32, value)
    return struct.pack("<IQ", _UINT64, value) if value > 0 else struct.pack("<Iq", _INT64, value)


def _text(raw: bytes) -> bytes:
    return struct.pack("<Q", len(raw)) + raw


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
