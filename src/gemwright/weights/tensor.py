"""A tensor as it lies in its file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gemwright.weights.dequant import dequantize
from gemwright.weights.types import TensorType


@dataclass(frozen=True, eq=False)
class Tensor:
    """A named view into a mapped checkpoint; reading it touches the file, nothing is copied.

    shape: row-major, (out, in) for matrices; the last axis is the one quantised blocks run along.
    data: uint8[bytes], read-only, kept alive with its file. In safetensors it need not be aligned.
    """

    name: str
    type: TensorType
    shape: tuple[int, ...]
    data: npt.NDArray[np.uint8]

    @property
    def values(self) -> int:
        """How many numbers it holds."""
        return self.data.size // self.type.block_bytes * self.type.block_values

    def to_f32(self) -> npt.NDArray[np.float32]:
        """float32[shape], a fresh array: what the stored blocks mean, exactly."""
        return dequantize(self.type, self.data).reshape(self.shape)
