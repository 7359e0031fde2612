"""From matched tensors to what a network computes with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Literal

import numpy as np

from gemwright import ops
from gemwright.step import F32
from gemwright.store import Bytes, Store, Wanted
from gemwright.weights import Checkpoint, Tensor, Weight, identity, match, release

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
        ignore: tuple[str, ...] = (),
        store: Store | None = None,
    ) -> None:
        """wide: last parts of the names of matrices whose inputs need int16 even at the default precision.

        store: where packed models are kept; without one the tensors are packed in memory.
        """
        self._tensors = match(rows, checkpoint, ignore=ignore)
        self._offset = {row.name: 1.0 if row.add_one and checkpoint.kind == "safetensors" else 0.0 for row in rows}
        self._precision = precision
        self._wide = wide
        kept = store.sections(self._wanted(checkpoint), self._make) if store else None
        self._kept: dict[str, Bytes] = dict(zip(self._tensors, kept, strict=True)) if kept else {}

    def matrix(self, name: str) -> ops.Matrix:
        """The tensor packed for the kernels."""
        if name not in self._kept:
            return self._pack(name)
        tensor = self._tensors[name]
        rows, cols = tensor.shape
        return ops.Matrix.over(int(tensor.type), self._kept[name], rows, cols, wide=self._is_wide(name))

    def vector(self, name: str) -> F32:
        """The tensor in float32, with the one added that safetensors files leave out of norm scales."""
        return self._kept[name].view(np.float32) if name in self._kept else self._float(name)

    def _is_wide(self, name: str) -> bool:
        return self._precision == "exact" or name.rpartition(".")[2] in self._wide

    def _pack(self, name: str) -> ops.Matrix:
        tensor = self._tensors[name]
        rows, cols = tensor.shape
        return ops.Matrix(int(tensor.type), tensor.data, rows, cols, wide=self._is_wide(name), done_with=release)

    def _float(self, name: str) -> F32:
        return np.ascontiguousarray(self._tensors[name].to_f32() + np.float32(self._offset[name]), dtype=np.float32)

    def _wanted(self, checkpoint: Checkpoint) -> Wanted:
        """A section for each tensor, in the order of the table."""
        choices = json.dumps({name: int(tensor.type) for name, tensor in self._tensors.items()})
        rules = json.dumps({"layout": ops.LAYOUT_VERSION, "offsets": self._offset})
        key = hashlib.sha256(identity(checkpoint) + choices.encode() + rules.encode()).digest()
        return Wanted(checkpoint.path, choices, key, tuple(_packed_bytes(one) for one in self._tensors.values()))

    def _make(self) -> Iterator[Bytes]:
        for name, tensor in self._tensors.items():
            yield self._pack(name).packed if len(tensor.shape) == 2 else self._float(name).view(np.uint8)


def _packed_bytes(tensor: Tensor) -> int:
    return ops.packed_bytes(int(tensor.type), *tensor.shape) if len(tensor.shape) == 2 else 4 * tensor.values
