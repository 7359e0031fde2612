"""From matched tensors to what a network computes with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np

from gemwright import ops
from gemwright.step import F32
from gemwright.store import Bytes, Store, Wanted
from gemwright.weights import Checkpoint, TensorType, Weight, identity, match, release

Precision = Literal["default", "exact"]
"""How activations meet quantised weights: in int8 where the model tolerates it, or in int16 everywhere."""


class Loader:
    """Gives a network its weights by name. Raises CheckpointMismatch if the checkpoint does not fit `rows`."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        rows: tuple[Weight, ...],
        *,
        precision: Precision,
        wide: tuple[str, ...] = (),
        heads: Mapping[str, str] = MappingProxyType({}),
        ignore: tuple[str, ...] = (),
        store: Store | None = None,
    ) -> None:
        """wide: last parts of the names of matrices whose inputs need int16 even at the default precision.

        heads: matrices split for `ops.largest` where their type allows, each with the vector that scales its inputs.
        store: where packed models are kept; without one the tensors are packed in memory.
        """
        self._tensors = match(rows, checkpoint, ignore=ignore)
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
        tensor = self._tensors[name]
        rows, cols = tensor.shape
        return ops.Matrix.over(self._type(name), self._kept[name], rows, cols, wide=self._is_wide(name))

    def vector(self, name: str) -> F32:
        """The tensor in float32, with the one added that safetensors files leave out of norm scales."""
        return self._kept[name].view(np.float32) if name in self._kept else self._float(name)

    def _is_wide(self, name: str) -> bool:
        return self.precision == "exact" or name.rpartition(".")[2] in self._wide

    def _pack(self, name: str) -> ops.Matrix:
        tensor = self._tensors[name]
        rows, cols = tensor.shape
        weigh = self._float(self._heads[name]) if name in self._heads else None
        return ops.Matrix(
            self._type(name), tensor.data, rows, cols, wide=self._is_wide(name), weigh=weigh, done_with=release
        )

    def _type(self, name: str) -> int:
        """What the tensor is packed as."""
        tensor = self._tensors[name]
        return ops.Q8_0_SPLIT if name in self._heads and tensor.type == TensorType.Q8_0 else int(tensor.type)

    def _float(self, name: str) -> F32:
        return np.ascontiguousarray(self._tensors[name].to_f32() + np.float32(self._offset[name]), dtype=np.float32)

    def _wanted(self, checkpoint: Checkpoint) -> Wanted:
        """A section for each tensor, in the order of the table."""
        choices = json.dumps({name: self._type(name) for name in self._tensors})
        rules = json.dumps({"layout": ops.LAYOUT_VERSION, "offsets": self._offset, "heads": dict(self._heads)})
        key = hashlib.sha256(identity(checkpoint) + choices.encode() + rules.encode()).digest()
        return Wanted(checkpoint.path, choices, key, tuple(self._packed_bytes(name) for name in self._tensors))

    def _make(self) -> Iterator[Bytes]:
        for name, tensor in self._tensors.items():
            yield self._pack(name).packed if len(tensor.shape) == 2 else self._float(name).view(np.uint8)

    def _packed_bytes(self, name: str) -> int:
        tensor = self._tensors[name]
        return ops.packed_bytes(self._type(name), *tensor.shape) if len(tensor.shape) == 2 else 4 * tensor.values
