"""From matched tensors to what a network computes with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Literal

import numpy as np

from gemwright import ops
from gemwright.errors import NotFinite, UnsupportedModel
from gemwright.step import F32, I32
from gemwright.store import Bytes, Store, Wanted
from gemwright.weights import (
    CONVERSION_VERSION,
    Checkpoint,
    Tensor,
    TensorType,
    Weight,
    converted,
    identity,
    match,
    plan_types,
    quoted,
    release,
)

Precision = Literal["default", "exact"]
"""How activations meet quantised weights: in int8 where the model tolerates it, or in int16 everywhere."""


class Table:
    """A tensor[rows, cols] in its file, read row by row."""

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor

    def rows(self, ids: I32) -> F32:
        """float32[n, cols], what the file's values mean. ids: int32[n]. Raises IndexError outside the table."""
        return self._tensor.rows(ids)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row in the file."""
        return self._tensor.data.size // self._tensor.shape[0]


class Loader:
    """Gives a network its weights by name, matrices in the types that the checkpoint's level asks for.

    Raises CheckpointMismatch if the checkpoint does not fit `rows`, UnsupportedModel if it cannot be had at its level.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        rows: tuple[Weight, ...],
        *,
        precision: Precision,
        wide: tuple[str, ...] = (),
        heads: Mapping[str, str] = MappingProxyType({}),
        tables: tuple[str, ...] = (),
        ignore: tuple[str, ...] = (),
        store: Store | None = None,
    ) -> None:
        """rows: those nobody reads are checked, and left in the file.

        wide: last parts of the names of matrices whose inputs need int16 even at the default precision.

        heads: matrices split for `ops.largest` where their type allows, each with the vector that scales its inputs.
        tables: matrices of which only single rows are read, from the file.
        store: where packed models are kept; without one the tensors are packed in memory.
        """
        found, unread = match(rows, checkpoint, ignore=ignore), {row.name for row in rows if row.unread}
        matched = {name: tensor for name, tensor in found.items() if name not in unread}
        self._tables = {name: matched.pop(name) for name in tables if name in matched}
        self._tensors = matched
        self._types = plan_types(checkpoint, matched)
        self._offset = {row.name: 1.0 if row.add_one and checkpoint.kind == "safetensors" else 0.0 for row in rows}
        self.precision = precision
        self._wide = wide
        self._heads = heads
        kept = store.sections(self._wanted(checkpoint), self._make) if store else None
        self._kept: dict[str, Bytes] = dict(zip(self._tensors, kept, strict=True)) if kept else {}

    def matrix(self, name: str) -> ops.Matrix:
        """The tensor packed for the kernels."""
        if name not in self._kept:
            return self._pack(name)
        rows, cols = self._tensors[name].matrix_shape
        return ops.Matrix.over(self._type(name), self._kept[name], rows, cols, wide=self._is_wide(name))

    def matrices(self, name: str, cut: int = 1) -> list[ops.Matrix]:
        """The matrices of a stack, tensor[n, rows, cols], where they lie in its packed form.

        cut: each matrix is so many of [rows / cut, cols], one below the other; they are given one by one.
        Raises UnsupportedModel for rows that are not whole tiles.
        """
        whole, (count, rows, cols) = self.matrix(name), self._tensors[name].shape
        count, rows = count * cut, rows // cut
        if rows % ops.TILE_ROWS:
            raise UnsupportedModel(f"{name}: matrices of a stack need a multiple of {ops.TILE_ROWS} rows, not {rows}.")
        size = whole.nbytes // count
        parts = [whole.packed[i * size : (i + 1) * size] for i in range(count)]
        return [ops.Matrix.over(self._type(name), part, rows, cols, wide=whole.wide) for part in parts]

    def table(self, name: str) -> Table:
        """A matrix of which a step reads a few rows: it stays in the file."""
        return Table(self._tables[name])

    def vector(self, name: str) -> F32:
        """The tensor in float32, with the one added that safetensors files leave out of norm scales."""
        return self._kept[name].view(np.float32) if name in self._kept else self._float(name)

    def _is_wide(self, name: str) -> bool:
        return self.precision == "exact" or name.rpartition(".")[2] in self._wide

    def _pack(self, name: str) -> ops.Matrix:
        tensor = self._tensors[name]
        rows, cols = tensor.matrix_shape
        weigh = self._float(self._heads[name]) if name in self._heads else None
        planned = self._types[name]
        convert = None if planned is tensor.type else partial(converted, tensor, to=planned)
        matrix = ops.Matrix(
            self._type(name),
            tensor.data,
            rows,
            cols,
            wide=self._is_wide(name),
            weigh=weigh,
            done_with=release,
            convert=convert,
        )
        if not matrix.is_finite:
            raise _not_finite(tensor)
        return matrix

    def _type(self, name: str) -> int:
        """What the tensor is packed as."""
        planned = self._types[name]
        return ops.Q8_0_SPLIT if name in self._heads and planned is TensorType.Q8_0 else int(planned)

    def _float(self, name: str) -> F32:
        tensor = self._tensors[name]
        values = np.ascontiguousarray(tensor.to_f32() + np.float32(self._offset[name]), dtype=np.float32)
        if not np.isfinite(values).all():
            raise _not_finite(tensor)
        return values

    def _wanted(self, checkpoint: Checkpoint) -> Wanted:
        """A section for each tensor, in the order of the table."""
        choices = json.dumps({name: self._type(name) for name in self._tensors})
        versions = {"layout": ops.LAYOUT_VERSION, "conversion": CONVERSION_VERSION}
        rules = json.dumps({**versions, "offsets": self._offset, "heads": dict(self._heads)})
        key = hashlib.sha256(identity(checkpoint) + choices.encode() + rules.encode()).digest()
        return Wanted(checkpoint.path, choices, key, tuple(self._packed_bytes(name) for name in self._tensors))

    def _make(self) -> Iterator[Bytes]:
        for name, tensor in self._tensors.items():
            yield self._pack(name).packed if tensor.is_matrix else self._float(name).view(np.uint8)

    def _packed_bytes(self, name: str) -> int:
        tensor = self._tensors[name]
        return ops.packed_bytes(self._type(name), *tensor.matrix_shape) if tensor.is_matrix else 4 * tensor.values


def _not_finite(tensor: Tensor) -> NotFinite:
    return NotFinite(
        f"Tensor {quoted(tensor.name)} holds numbers that are NaN or infinite.",
        hint="The checkpoint is damaged: copy or download it again.",
    )
