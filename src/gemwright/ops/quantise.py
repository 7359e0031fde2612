"""Weights into fewer bits: what optimisation levels are made with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gemwright import _native

Bytes = npt.NDArray[np.uint8]


def requantise(data: Bytes, from_type: int, to_type: int) -> tuple[Bytes, int]:
    """The values of `data` as blocks of ggml type `to_type`, and the place of the first that cannot be one, or -1.

    data: uint8[bytes], whole blocks of `from_type` (F32, F16, BF16 or Q8_0). to_type: F16, BF16, Q4_0, Q5_0, Q8_0 or
    Q4_K. Scales are searched for the smallest squared error; a block of BF16 or another float type that lies on a Q4_0
    grid keeps it exactly as Q4_0. The bits depend on the values alone, not on threads or the CPU. What cannot be
    converted is NaN, infinite, or too large for a float16 scale; the blocks are then of no use.
    """
    return _native.requantise(data, from_type, to_type)


def is_on_q4_0_grid(data: Bytes, from_type: int) -> bool:
    """Whether every 32 values are a float16 number times whole numbers -8 to 7, rounded to the float type they have.

    Training with Q4_0 in the loop leaves such weights (Google's QAT checkpoints). data: whole multiples of 32 values.
    """
    return _native.is_on_q4_0_grid(data, from_type)
