"""Matrices in the kernels' own layout, and products with them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from gemwright import _native
from gemwright.step import F32, I32

Bytes = npt.NDArray[np.uint8]
LAYOUT_VERSION = _native.LAYOUT_VERSION
"""Of packed bytes: those of another version mean something else."""
Q8_0_SPLIT = 1008
"""Type of a Q8_0 tensor packed as a split matrix, for `largest`; a number of our own, beside ggml's."""
GROUP_COLUMNS = 32
EXACT_COLUMNS = 8  # of each group, as in native/core/packed.h
TILE_ROWS = 16
SLAB_BYTES = 16 << 20  # packed at a time


class Matrix:
    """A weight matrix [rows, cols], repacked once into tiles of sixteen rows (native/core/packed.h).

    Quantised types are multiplied by activations quantised per token: to int8 in groups of 32 with the four largest
    channels kept exact, or to int16 in groups of 32 when `wide`. Float types are multiplied in float32.
    """

    __slots__ = ("_packed", "is_finite", "wide")

    def __init__(
        self,
        tensor_type: int,
        data: Bytes,
        rows: int,
        cols: int,
        *,
        wide: bool,
        weigh: F32 | None = None,
        done_with: Callable[[Bytes], None] | None = None,
        convert: Callable[[Bytes], Bytes] | None = None,
    ) -> None:
        """data: uint8[bytes], rows of ggml type `tensor_type` without padding. Raises ValueError when it cannot fit.

        weigh: float32[cols], of a split matrix: about how large the columns of its inputs are. It decides how fast
        `largest` is, and nothing else.
        convert: makes such rows of parts of `data`, which then holds rows of another type; some at a time, so that a
        whole converted copy is never in memory.

        done_with: is given each part of `data` that has been packed, so that a mapped file need not stay in memory
        beside its packed copy.

        `is_finite` tells afterwards whether all its numbers are; ones that are not are kept.
        """
        self.is_finite = True
        self._packed = _native.Packed(tensor_type, rows, cols)
        self.wide = wide
        if tensor_type == Q8_0_SPLIT and weigh is not None:
            self._packed.choose(_largest_of_each_group(weigh))
        row_bytes = data.size // rows if convert else self._packed.row_bytes
        if data.size != rows * row_bytes:
            raise ValueError(f"{data.size} bytes are not of the size that {rows} rows of {row_bytes} bytes need")
        slab = max(SLAB_BYTES // row_bytes // TILE_ROWS, 1) * TILE_ROWS
        for first in range(0, rows, slab):
            count = min(slab, rows - first)
            part = data[first * row_bytes : (first + count) * row_bytes]
            self.is_finite &= self._packed.fill(convert(part) if convert else part, first, count)
            if done_with is not None:
                done_with(part)

    @classmethod
    def over(cls, tensor_type: int, packed: Bytes, rows: int, cols: int, *, wide: bool) -> Matrix:
        """The matrix whose `packed` bytes these are: used where they lie, which may be a mapped file.

        packed: uint8[packed_bytes(...)], aligned to 64. Raises ValueError when it cannot fit.
        """
        self = cls.__new__(cls)
        self.is_finite = True  # or it would not have been kept
        self._packed = _native.Packed(tensor_type, rows, cols, packed)
        self.wide = wide
        return self

    @property
    def packed(self) -> Bytes:
        """uint8[nbytes], read-only: its tiles, as `over` takes them."""
        return self._packed.data

    @property
    def is_split(self) -> bool:
        """Whether `largest` takes it."""
        return self._packed.is_split

    @property
    def rows(self) -> int:
        return self._packed.rows

    @property
    def cols(self) -> int:
        return self._packed.cols

    @property
    def scanned_bytes(self) -> int:
        """Bytes that one multiplication reads, or `largest` of a split matrix, before it looks again at a few rows."""
        return self._packed.scanned_bytes

    @property
    def nbytes(self) -> int:
        """Bytes of memory it takes."""
        return self._packed.nbytes

    def to_f32(self) -> F32:
        """The values, float32[rows, cols]."""
        return self._packed.to_f32()


def packed_bytes(tensor_type: int, rows: int, cols: int) -> int:
    """Bytes of a matrix of that type and shape once it is packed. Raises ValueError when there is no such matrix."""
    return _native.Packed.bytes_of(tensor_type, rows, cols)


def checksum(data: Bytes) -> int:
    """64 bits over uint8[n], as fast as memory is read: finds damage, not forgery."""
    return _native.checksum(data)


def linear(x: F32, *weights: Matrix) -> tuple[F32, ...]:
    """x @ w.T for each of the weights: float32[T, w.rows]. x: float32[T, cols].

    Matrices that share an input belong in one call: the input is quantised once. They must agree in `wide`.
    """
    wide = weights[0].wide
    if any(w.wide != wide for w in weights):
        raise ValueError("linear: the matrices differ in width of activations")
    return tuple(_native.linear(x, [w._packed for w in weights], wide))


def linear_geglu(x: F32, gate: Matrix, up: Matrix) -> F32:
    """gelu(x @ gate.T) · (x @ up.T): float32[T, gate.rows], bit for bit `geglu_mul` of `linear`; arXiv:2002.05202."""
    if gate.wide != up.wide:
        raise ValueError("linear_geglu: the matrices differ in width of activations")
    return _native.linear_geglu(x, gate._packed, up._packed, gate.wide)


def largest(x: F32, table: Matrix, k: int, below: int) -> tuple[I32, F32]:
    """The k largest of each row of x @ table.T, of its columns < below: (int32[T, k], float32[T, k]).

    Largest first, the lowest index first among equals, bit for bit what `linear` gives with `wide`. A row whose
    products are not all finite gives NaN. table: a split matrix. 1 ≤ k ≤ below ≤ rows.
    """
    return _native.largest(x, table._packed, k, below)


def embed(table: Matrix, tokens: I32, factor: float) -> F32:
    """Rows of `table` times `factor`: float32[T, D]. tokens: int32[T]. Raises ValueError outside the table."""
    return _native.embed(table._packed, tokens, factor)


def _largest_of_each_group(weigh: F32) -> I32:
    """The EXACT_COLUMNS columns of largest magnitude of each group, ascending."""
    groups = np.abs(weigh).reshape(-1, GROUP_COLUMNS)
    within = np.sort(np.argsort(-groups, axis=1, kind="stable")[:, :EXACT_COLUMNS], axis=1)
    return np.ascontiguousarray(within + np.arange(0, weigh.size, GROUP_COLUMNS)[:, None], np.int32).ravel()
