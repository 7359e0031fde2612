"""From matched tensors to what a network computes with."""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np

from gemwright import ops
from gemwright.step import F32
from gemwright.weights import Checkpoint, Tensor, Weight, converted, match, plan_types, release

Precision = Literal["default", "exact"]
"""How activations meet quantised weights: in int8 where the model tolerates it, or in int16 everywhere."""


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
        ignore: tuple[str, ...] = (),
    ) -> None:
        """wide: last parts of the names of matrices whose inputs need int16 even at the default precision."""
        self._tensors = match(rows, checkpoint, ignore=ignore)
        self._types = plan_types(checkpoint, self._tensors)
        self._offset = {row.name: 1.0 if row.add_one and checkpoint.kind == "safetensors" else 0.0 for row in rows}
        self._precision = precision
        self._wide = wide

    def matrix(self, name: str) -> ops.Matrix:
        """The tensor packed for the kernels."""
        tensor: Tensor = self._tensors[name]
        rows, cols = tensor.shape
        wide = self._precision == "exact" or name.rpartition(".")[2] in self._wide
        kind = self._types[name]
        convert = None if kind is tensor.type else partial(converted, tensor, to=kind)
        return ops.Matrix(int(kind), tensor.data, rows, cols, wide=wide, done_with=release, convert=convert)

    def vector(self, name: str) -> F32:
        """The tensor in float32, with the one added that safetensors files leave out of norm scales."""
        return np.ascontiguousarray(self._tensors[name].to_f32() + np.float32(self._offset[name]), dtype=np.float32)
