"""A tensor as it lies in its file."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

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

    @property
    def is_matrix(self) -> bool:
        """Whether it is a matrix, or a stack of matrices."""
        return len(self.shape) in (2, 3)

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """(rows, cols); those of a stack lie one below the other."""
        return prod(self.shape[:-1]), self.shape[-1]

    def part(self, number: int) -> Tensor:
        """One matrix of a stack, under the stack's name."""
        size = self.data.size // self.shape[0]
        return Tensor(self.name, self.type, self.shape[1:], self.data[number * size : (number + 1) * size])

    def rows(self, ids: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """float32[n, cols]: these rows of a matrix, exactly. Raises IndexError outside it."""
        if len(ids) and not 0 <= ids.min() <= ids.max() < self.shape[0]:
            raise IndexError(f"tensor {self.name} has rows 0 to {self.shape[0] - 1}")
        stored = self.data.reshape(self.shape[0], -1)[ids]
        return dequantize(self.type, stored.reshape(-1)).reshape(len(ids), -1)

    def to_f32(self) -> npt.NDArray[np.float32]:
        """float32[shape], a fresh array: what the stored blocks mean, exactly."""
        return dequantize(self.type, self.data).reshape(self.shape)
