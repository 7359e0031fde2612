"""Where tensors lie in a file, checked against the file before anything is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gemwright.errors import ModelFormatError
from gemwright.weights.mapped import TRUNCATED
from gemwright.weights.quoted import quoted
from gemwright.weights.tensor import Tensor
from gemwright.weights.types import TensorType


@dataclass(frozen=True)
class Region:
    """A tensor's place: bytes [begin, end) counted from the start of the file's tensor part."""

    name: str
    type: TensorType
    shape: tuple[int, ...]
    begin: int
    end: int

    @classmethod
    def of(cls, path: Path, name: str, type_: TensorType, shape: tuple[int, ...], begin: int) -> Region:
        """The region a tensor of this type and shape fills; Python's integers cannot overflow here."""
        if 0 in shape:
            raise ModelFormatError(f"{path}: tensor {quoted(name)} of shape {shape} is empty.")
        if type_.block_values > 1 and shape[-1] % type_.block_values:
            raise ModelFormatError(
                f"{path}: tensor {quoted(name)} has rows of {shape[-1]:,} values, which {type_.name} cannot store: "
                f"its blocks hold {type_.block_values}."
            )
        size = prod(shape) // type_.block_values * type_.block_bytes
        return cls(name, type_, shape, begin, begin + size)

    def tensor(self, data: npt.NDArray[np.uint8], start: int) -> Tensor:
        """The tensor itself, a view of `data`, where the tensor part begins at byte `start`."""
        return Tensor(self.name, self.type, self.shape, data[start + self.begin : start + self.end])


def check_regions(path: Path, regions: Sequence[Region], available: int) -> None:
    """Every region lies within `available` bytes and no two share one; otherwise ModelFormatError naming the tensor."""
    previous: Region | None = None
    for region in sorted(regions, key=lambda region: region.begin):
        if region.end > available:
            raise ModelFormatError(
                f"{path}: tensor {quoted(region.name)} of shape {region.shape} "
                f"would end {region.end - available:,} bytes past the end of the file.",
                hint=TRUNCATED,
            )
        if previous is not None and region.begin < previous.end:
            raise ModelFormatError(
                f"{path}: tensors {quoted(previous.name)} and {quoted(region.name)} overlap.",
                hint="The file is damaged: copy or download it again.",
            )
        previous = region
