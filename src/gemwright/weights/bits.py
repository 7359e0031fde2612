"""Taking packed bits apart: the few operations all quantised blocks share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]
Blocks = npt.NDArray[Any]
"""[n] blocks of one structured dtype."""


def floats(numbers: npt.NDArray[Any]) -> F32:
    """The same numbers as float32."""
    converted: F32 = numbers.astype(np.float32)
    return converted


def scale(field: npt.NDArray[np.float16]) -> F32:
    """float32[n, 1] from each block's float16 scale or minimum."""
    return floats(field).reshape(-1, 1)


def nibbles(packed: U8, run: int) -> U8:
    """uint8[n, runs, 2, run]: of every `run` bytes first the low halves, then the high halves."""
    return _parts(packed, run, 4)


def pairs(packed: U8, run: int) -> U8:
    """uint8[n, runs, 4, run]: of every `run` bytes the lowest two bits of each, then the next two, …"""
    return _parts(packed, run, 2)


def planes(packed: U8, run: int) -> U8:
    """uint8[n, runs, 8, run]: of every `run` bytes bit 0 of each, then bit 1 of each, …"""
    return _parts(packed, run, 1)


def flat(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same values as [n, rest]."""
    return array.reshape(len(array), -1)


def _parts(packed: U8, run: int, bits: int) -> U8:
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    parts: U8 = packed.reshape(len(packed), -1, 1, run) >> shifts[:, None]
    parts &= np.uint8((1 << bits) - 1)
    return parts
