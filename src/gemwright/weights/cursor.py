"""Reads a GGUF header value by value; no read goes past the end, no allocation exceeds what is there."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gemwright import ops
from gemwright.errors import ModelFormatError
from gemwright.weights.mapped import TRUNCATED
from gemwright.weights.strings import StringArray

_STRING, _ARRAY, _BOOL = 8, 9, 7

_SCALARS: dict[int, np.dtype[Any]] = {
    0: np.dtype("<u1"),
    1: np.dtype("<i1"),
    2: np.dtype("<u2"),
    3: np.dtype("<i2"),
    4: np.dtype("<u4"),
    5: np.dtype("<i4"),
    6: np.dtype("<f4"),
    _BOOL: np.dtype("<u1"),
    10: np.dtype("<u8"),
    11: np.dtype("<i8"),
    12: np.dtype("<f8"),
}
"""GGUF's numbers for its value types; booleans are bytes 0 and 1."""

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")

MAX_TEXT_BYTES = 1 << 20


class Cursor:
    """A position in `data`; every method reads on from there or raises ModelFormatError naming `what` it wanted."""

    def __init__(self, path: Path, data: npt.NDArray[np.uint8], at: int = 0) -> None:
        self.at = at
        self._path = path
        self._data = data
        self._view = data.data

    @property
    def left(self) -> int:
        """Bytes between here and the end of the file."""
        return len(self._view) - self.at

    def u32(self, what: str) -> int:
        return int(_U32.unpack_from(self._view, self._advance(4, what))[0])

    def u64(self, what: str) -> int:
        return int(_U64.unpack_from(self._view, self._advance(8, what))[0])

    def text(self, what: str, limit_bytes: int = MAX_TEXT_BYTES) -> str:
        """A UTF-8 string with its length before it."""
        length = self.u64(f"the length of {what}")
        if length > limit_bytes:
            raise self.corrupt(f"{what} is {length:,} bytes long, more than the {limit_bytes:,} allowed")
        start = self._advance(length, what)
        try:
            return str(self._view[start : self.at], "utf-8")
        except UnicodeDecodeError as error:
            raise self.corrupt(f"{what} is not UTF-8") from error

    def value(self, what: str) -> Any:
        """A typed metadata value: int, float, bool, str, StringArray, or a read-only 1-D array of numbers."""
        kind = self.u32(f"the type of {what}")
        if kind == _STRING:
            return self.text(what)
        if kind == _ARRAY:
            return self._array(what)
        return self._numbers(kind, 1, what)[0].item()

    def corrupt(self, problem: str) -> ModelFormatError:
        """The error to raise for `problem` found at this position."""
        return ModelFormatError(
            f"{self._path}: {problem} (near byte {self.at:,} of {len(self._view):,}).",
            hint="The file is damaged: copy or download it again.",
        )

    def _array(self, what: str) -> StringArray | npt.NDArray[Any]:
        kind = self.u32(f"the element type of {what}")
        count = self.u64(f"the length of {what}")
        if kind == _STRING:
            return self._strings(count, what)
        if kind == _ARRAY:
            raise self.corrupt(f"{what} is an array of arrays, which no model file needs")
        return self._numbers(kind, count, what)

    def _strings(self, count: int, what: str) -> StringArray:
        end = ops.scan_strings(self._data, self.at, count) if count * 8 <= self.left else -1
        if end < 0:
            raise self._cut_short(f"the {count:,} strings of {what}")
        raw = self._data[self.at : end]
        self.at = end
        return StringArray(raw, count)

    def _numbers(self, kind: int, count: int, what: str) -> npt.NDArray[Any]:
        dtype = _SCALARS.get(kind)
        if dtype is None:
            raise self.corrupt(f"{what} has the unknown value type {kind}")
        start = self._advance(count * dtype.itemsize, what)
        numbers: npt.NDArray[Any] = self._data[start : self.at].view(dtype)
        if kind == _BOOL:
            if (numbers > 1).any():
                raise self.corrupt(f"{what} holds a truth value that is neither 0 nor 1")
            numbers = numbers.view(np.bool_)
        return numbers if numbers.flags.aligned else _aligned_copy(numbers)

    def _advance(self, size: int, what: str) -> int:
        """Steps over `size` bytes and returns where they began."""
        if size > self.left:
            raise self._cut_short(what)
        start = self.at
        self.at += size
        return start

    def _cut_short(self, what: str) -> ModelFormatError:
        return ModelFormatError(
            f"{self._path} ends before {what}: only {self.left:,} bytes follow byte {self.at:,}.", hint=TRUNCATED
        )


def _aligned_copy(numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Native code may not read unaligned numbers; together such copies are smaller than the file."""
    copied: npt.NDArray[Any] = numbers.copy()
    copied.setflags(write=False)
    return copied
