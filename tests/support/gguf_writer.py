"""Writes small GGUF files for tests, and says where each of their header fields lies, so that tests can break them."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gemwright.weights import TensorType

_ARRAY_TYPES = {"u1": 0, "i1": 1, "u2": 2, "i2": 3, "u4": 4, "i4": 5, "f4": 6, "b1": 7, "u8": 10, "i8": 11, "f8": 12}


@dataclass(frozen=True)
class Stored:
    """A tensor as it is to be written: shape row-major, `data` the blocks of `type`."""

    type: TensorType
    shape: tuple[int, ...]
    data: bytes

    @classmethod
    def f32(cls, values: npt.ArrayLike) -> Stored:
        array = np.asarray(values, "<f4")
        return cls(TensorType.F32, array.shape, array.tobytes())

    @classmethod
    def random(cls, rng: np.random.Generator, type_: TensorType, shape: tuple[int, ...]) -> Stored:
        """Random blocks of moderate values: any bits, but scales near 0.01."""
        blocks = int(np.prod(shape)) // type_.block_values
        data = np.frombuffer(rng.bytes(blocks * type_.block_bytes), np.uint8).reshape(blocks, -1).copy()
        if type_.block_values == 1:
            numbers = rng.normal(scale=0.05, size=shape).astype("<f4")
            if type_ is TensorType.BF16:
                return cls(type_, shape, (numbers.view("<u4") >> 16).astype("<u2").tobytes())
            return cls(type_, shape, numbers.astype("<f2" if type_ is TensorType.F16 else "<f4").tobytes())
        for offset in _SCALE_OFFSETS[type_]:
            scales = rng.uniform(0.005, 0.02, blocks).astype("<f2")
            data[:, offset : offset + 2] = scales.view(np.uint8).reshape(blocks, 2)
        return cls(type_, shape, data.tobytes())


@dataclass(frozen=True)
class Field:
    """A number of the header: `size` bytes at `at`."""

    what: str
    at: int
    size: int


@dataclass(frozen=True)
class Written:
    data: bytes
    fields: tuple[Field, ...]


def gguf(
    metadata: Mapping[str, Any], tensors: Mapping[str, Stored], *, version: int = 3, alignment: int = 32
) -> Written:
    """A GGUF file. Metadata: str, bool, int (uint32), float (float32), NumPy scalars and 1-D arrays, lists of str."""
    writer = _Writer()
    writer.raw(b"GGUF")
    writer.number("version", "<I", version)
    writer.number("tensor count", "<Q", len(tensors))
    writer.number("key count", "<Q", len(metadata))
    for key, value in metadata.items():
        writer.text("key", key)
        writer.value(key, value)
    offset = 0
    for name, tensor in tensors.items():
        writer.text("tensor name", name)
        writer.number("dimension count", "<I", len(tensor.shape))
        for size in reversed(tensor.shape):
            writer.number("dimension", "<Q", size)
        writer.number("tensor type", "<I", tensor.type)
        writer.number("tensor offset", "<Q", offset)
        offset += _padded(len(tensor.data), alignment)
    writer.pad(alignment)
    for tensor in tensors.values():
        writer.raw(tensor.data)
        writer.pad(alignment)
    return Written(bytes(writer.data), tuple(writer.fields))


def _padded(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


class _Writer:
    def __init__(self) -> None:
        self.data = bytearray()
        self.fields: list[Field] = []

    def raw(self, data: bytes) -> None:
        self.data += data

    def pad(self, alignment: int) -> None:
        self.data += bytes(_padded(len(self.data), alignment) - len(self.data))

    def number(self, what: str, form: str, value: float) -> None:
        packed = struct.pack(form, value)
        self.fields.append(Field(what, len(self.data), len(packed)))
        self.data += packed

    def text(self, what: str, value: str | bytes) -> None:
        raw = value.encode() if isinstance(value, str) else value
        self.number(f"{what} length", "<Q", len(raw))
        self.data += raw

    def value(self, key: str, value: Any) -> None:
        if isinstance(value, str):
            self.number("value type", "<I", 8)
            self.text("string value", value)
        elif isinstance(value, (list, tuple)):
            self.number("value type", "<I", 9)
            self.number("element type", "<I", 8)
            self.number("array length", "<Q", len(value))
            for text in value:
                self.text("array string", text)
        elif isinstance(value, np.ndarray):
            self.number("value type", "<I", 9)
            self.number("element type", "<I", _ARRAY_TYPES[_code(value.dtype)])
            self.number("array length", "<Q", len(value))
            self.raw(np.ascontiguousarray(value, value.dtype.newbyteorder("<")).tobytes())
        else:
            scalar = value if isinstance(value, np.generic) else _default_scalar(value)
            self.number("value type", "<I", _ARRAY_TYPES[_code(scalar.dtype)])
            self.fields.append(Field(f"value of {key}", len(self.data), scalar.dtype.itemsize))
            self.raw(scalar.astype(scalar.dtype.newbyteorder("<")).tobytes())


def _code(dtype: np.dtype[Any]) -> str:
    return f"{dtype.kind}{dtype.itemsize}"


def _default_scalar(value: float) -> np.generic:
    if isinstance(value, bool):
        return np.bool_(value)
    return np.uint32(value) if isinstance(value, int) else np.float32(value)


_SCALE_OFFSETS = {
    TensorType.Q4_0: (0,),
    TensorType.Q4_1: (0, 2),
    TensorType.Q5_0: (0,),
    TensorType.Q5_1: (0, 2),
    TensorType.Q8_0: (0,),
    TensorType.IQ4_NL: (0,),
    TensorType.IQ4_XS: (0,),
    TensorType.Q2_K: (80, 82),
    TensorType.Q3_K: (108,),
    TensorType.Q4_K: (0, 2),
    TensorType.Q5_K: (0, 2),
    TensorType.Q6_K: (208,),
}
"""Where the blocks of a type hold float16 factors."""
