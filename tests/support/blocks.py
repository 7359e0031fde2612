"""Random tensors in every stored type: valid blocks with scales of a realistic size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gemwright.weights import TensorType

F16_FIELDS = {
    TensorType.Q4_0: (0,),
    TensorType.Q4_1: (0, 2),
    TensorType.Q5_0: (0,),
    TensorType.Q5_1: (0, 2),
    TensorType.Q8_0: (0,),
    TensorType.Q2_K: (80, 82),
    TensorType.Q3_K: (108,),
    TensorType.Q4_K: (0, 2),
    TensorType.Q5_K: (0, 2),
    TensorType.Q6_K: (208,),
    TensorType.IQ4_NL: (0,),
    TensorType.IQ4_XS: (0,),
}
"""Byte offsets of the float16 fields of each block: those that scale, and those that are added or scale a minimum."""

FLOATS = {TensorType.F32: np.float32, TensorType.F16: np.float16}
QUANTISED = tuple(F16_FIELDS)
ALL = (*FLOATS, TensorType.BF16, *QUANTISED)


def random_tensor(
    kind: TensorType, rows: int, cols: int, rng: np.random.Generator, *, extreme: bool = False
) -> npt.NDArray[np.uint8]:
    """The bytes of a [rows, cols] tensor. extreme: every code bit set or clear, which is where integers overflow."""
    if kind in FLOATS:
        return rng.normal(size=(rows, cols)).astype(FLOATS[kind]).view(np.uint8).reshape(-1)
    if kind is TensorType.BF16:
        return (
            (rng.normal(size=(rows, cols)).astype(np.float32).view(np.uint32) >> 16)
            .astype(np.uint16)
            .view(np.uint8)
            .reshape(-1)
        )
    blocks = rows * cols // kind.block_values
    data = rng.integers(0, 256, (blocks, kind.block_bytes), dtype=np.uint8)
    if extreme:
        data[:] = np.where(rng.integers(0, 2, (blocks, 1), dtype=np.uint8) == 1, 255, 0)
    for offset in F16_FIELDS[kind]:
        data[:, offset : offset + 2] = rng.uniform(0.001, 0.05, (blocks, 1)).astype(np.float16).view(np.uint8)
    return data.reshape(-1)
