"""A tensor's numbers in another type."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gemwright import ops
from gemwright.errors import NotFinite, UnsupportedModel
from gemwright.weights.dequant import dequantize
from gemwright.weights.quoted import quoted
from gemwright.weights.tensor import Tensor
from gemwright.weights.types import TensorType

CONVERTIBLE = (TensorType.F32, TensorType.F16, TensorType.BF16, TensorType.Q8_0)
"""Types that are precise enough to be rounded once more."""

CONVERSION_VERSION = 1
"""Of the numbers that conversion makes: raised whenever the same weights would become other blocks."""

Bytes = npt.NDArray[np.uint8]


def converted(tensor: Tensor, part: Bytes, to: TensorType) -> Bytes:
    """`part` of the tensor's data, whole rows, as blocks of `to`: uint8[bytes], see `ops.requantise`.

    Raises NotFinite for a weight that is no number, UnsupportedModel for one beyond what the blocks can hold.
    """
    blocks, bad = ops.requantise(part, int(tensor.type), int(to))
    if bad < 0:
        return blocks
    value = _value(tensor.type, part, bad)
    if np.isfinite(value):
        raise UnsupportedModel(
            f"Tensor {quoted(tensor.name)} holds {value:.6g}, too large for {to.name}.",
            hint="Load it as stored, or at a level of more bits.",
        )
    raise NotFinite(
        f"Tensor {quoted(tensor.name)} holds {value}, which is no weight.",
        hint="The checkpoint is damaged or its training diverged: get another copy.",
    )


def _value(type_: TensorType, part: Bytes, place: int) -> float:
    """The number at `place`, counted in values."""
    block, within = divmod(place, type_.block_values)
    data = part[block * type_.block_bytes : (block + 1) * type_.block_bytes]
    return float(dequantize(type_, data)[within])
