"""Per-layer embeddings of Gemma 4's E sizes: a small vector for each token and layer, added at the layer's end.

Source: `Gemma4TextModel.project_per_layer_inputs` and `Gemma4TextDecoderLayer` of transformers 5.24.
Axes: T tokens, D hidden width, L layers, P width of the small vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from gemwright import ops
from gemwright.models.gemma4_config import Config
from gemwright.models.weights import Loader, Table
from gemwright.step import F32, I32


@dataclass(frozen=True)
class PerLayerInputs:
    """Where the vectors come from: a row of a table for the token, and its embedding through a matrix.

    table: [V, L · P], read from the file row by row. projection: [L · P, D]. norm: [P], divided by √2.
    """

    table: Table
    projection: ops.Matrix
    norm: F32
    config: Config

    @classmethod
    def load(cls, load: Loader, c: Config) -> PerLayerInputs | None:
        """Nothing for a model without them."""
        if not c.per_layer_width:
            return None
        norm = load.vector("per_layer_in_norm") * np.float32(sqrt(0.5))
        return cls(load.table("per_layer_embed"), load.matrix("per_layer_in"), norm, c)

    def __call__(self, x: F32, tokens: I32) -> F32:
        """(√P · row + norm(projection · x / √D)) / √2: float32[T, L, P]. x: the embeddings, [T, D]."""
        c = self.config
        shape = (len(x), c.layers, c.per_layer_width)
        (projected,) = ops.linear(x, self.projection)
        # The norm divides by the size of its input, so that 1 / √D only matters beside eps.
        projected = ops.rms_norm(projected.reshape(shape), self.norm, c.eps * c.hidden)
        stored = self.table.rows(tokens) * np.float32(sqrt(c.per_layer_width / 2))
        return ops.add(projected.reshape(len(x), -1), stored).reshape(shape)


@dataclass(frozen=True)
class PerLayerBlock:
    """How a layer takes its vector in: gate [P, D], projection [D, P], norm [D]."""

    gate: ops.Matrix
    projection: ops.Matrix
    norm: F32
    eps: float

    @classmethod
    def load(cls, load: Loader, i: int, c: Config) -> PerLayerBlock | None:
        """Of layer number `i`; nothing for a model without them."""
        if not c.per_layer_width:
            return None
        gate, projection = load.matrix(f"{i}.per_layer_gate"), load.matrix(f"{i}.per_layer_out")
        return cls(gate, projection, load.vector(f"{i}.per_layer_out_norm"), c.eps)

    def __call__(self, x: F32, vectors: F32) -> F32:
        """x + norm(projection · (gelu(gate · x) · vectors)): [T, D]. vectors: [T, P]."""
        y = ops.geglu_mul(ops.linear(x, self.gate)[0], np.ascontiguousarray(vectors))
        (y,) = ops.linear(y, self.projection)
        return ops.add(x, ops.rms_norm(y, self.norm, self.eps))
