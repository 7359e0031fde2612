"""Matrices in the kernels' own layout, and products with them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from gemwright import _native
from gemwright.step import F32, I32

Bytes = npt.NDArray[np.uint8]
TILE_ROWS = 16
SLAB_BYTES = 16 << 20  # packed at a time


class Matrix:
    """A weight matrix [rows, cols], repacked once into tiles of sixteen rows (native/core/packed.h).

    Quantised types are multiplied by activations quantised per token: to int8 in groups of 32 with the four largest
    channels kept exact, or to int16 in groups of 32 when `wide`. Float types are multiplied in float32.
    """

    __slots__ = ("_packed", "wide")

    def __init__(
        self,
        tensor_type: int,
        data: Bytes,
        rows: int,
        cols: int,
        *,
        wide: bool,
        done_with: Callable[[Bytes], None] | None = None,
        convert: Callable[[Bytes], Bytes] | None = None,
    ) -> None:
        """data: uint8[bytes], rows of ggml type `tensor_type` without padding. Raises ValueError when it cannot fit.

        convert: makes such rows of parts of `data`, which then holds rows of another type; some at a time, so that a
        whole converted copy is never in memory.

        done_with: is given each part of `data` that has been packed, so that a mapped file need not stay in memory
        beside its packed copy.
        """
        self._packed = _native.Packed(tensor_type, rows, cols)
        self.wide = wide
        row_bytes = data.size // rows if convert else self._packed.row_bytes
        if data.size != rows * row_bytes:
            raise ValueError(f"{data.size} bytes are not of the size that {rows} rows of {row_bytes} bytes need")
        slab = max(SLAB_BYTES // row_bytes // TILE_ROWS, 1) * TILE_ROWS
        for first in range(0, rows, slab):
            count = min(slab, rows - first)
            part = data[first * row_bytes : (first + count) * row_bytes]
            self._packed.fill(convert(part) if convert else part, first, count)
            if done_with is not None:
                done_with(part)

    @property
    def rows(self) -> int:
        return self._packed.rows

    @property
    def cols(self) -> int:
        return self._packed.cols

    @property
    def nbytes(self) -> int:
        """Bytes of memory it takes, and that one multiplication reads."""
        return self._packed.nbytes

    def to_f32(self) -> F32:
        """The values, float32[rows, cols]."""
        return self._packed.to_f32()


def linear(x: F32, *weights: Matrix) -> tuple[F32, ...]:
    """x @ w.T for each of the weights: float32[T, w.rows]. x: float32[T, cols].

    Matrices that share an input belong in one call: the input is quantised once. They must agree in `wide`.
    """
    wide = weights[0].wide
    if any(w.wide != wide for w in weights):
        raise ValueError("linear: the matrices differ in width of activations")
    return tuple(_native.linear(x, [w._packed for w in weights], wide))


def embed(table: Matrix, tokens: I32, factor: float) -> F32:
    """Rows of `table` times `factor`: float32[T, D]. tokens: int32[T]. Raises ValueError outside the table."""
    return _native.embed(table._packed, tokens, factor)
