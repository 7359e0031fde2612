"""What stored blocks mean as float32, in plain NumPy: the oracle of every kernel.

A block type is written as the structured dtype it has in memory. Each `_Decode` takes an array of n blocks and gives
float32[n, block_values]. All arithmetic is float32 in the order of ggml's `dequantize_row_*`, so that results are
bit for bit those of the `gguf` package 0.19; the tests hold its output.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from gemwright.weights import kquants
from gemwright.weights.bits import F32, Blocks, flat, floats, nibbles, scale
from gemwright.weights.types import TensorType

_Decode = Callable[[Blocks], F32]

_CHUNK_VALUES = 1 << 17
"""Values decoded at a time: temporaries stay in the CPU's cache and small beside the result."""

_IQ4 = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float32)
"""The 16 unevenly spaced levels of IQ4_NL and IQ4_XS (ggml `kvalues_iq4nl`)."""


def dequantize(type_: TensorType, data: npt.NDArray[np.uint8]) -> F32:
    """float32[blocks · block_values] meant by `data`, uint8[blocks · block_bytes] of any alignment."""
    dtype, decode = _DECODERS[type_]
    blocks = data.view(dtype)
    out = np.empty((len(blocks), type_.block_values), np.float32)
    step = _CHUNK_VALUES // type_.block_values
    with np.errstate(invalid="ignore", over="ignore"):  # a scale of infinity means what it means: infinities and NaN
        for start in range(0, len(blocks), step):
            out[start : start + step] = decode(blocks[start : start + step])
    return out.reshape(-1)


def _float(blocks: Blocks) -> F32:
    return floats(blocks).reshape(-1, 1)


def _bf16(blocks: Blocks) -> F32:
    bits: npt.NDArray[np.uint32] = blocks.astype(np.uint32) << np.uint32(16)
    values: F32 = bits.view(np.float32).reshape(-1, 1)
    return values


def _q4_0(b: Blocks) -> F32:
    return _centred(b, _four_bits(b), 8)


def _q4_1(b: Blocks) -> F32:
    return _plus_minimum(b, _four_bits(b))


def _q5_0(b: Blocks) -> F32:
    return _centred(b, _five_bits(b), 16)


def _q5_1(b: Blocks) -> F32:
    return _plus_minimum(b, _five_bits(b))


def _centred(b: Blocks, value: F32, zero: int) -> F32:
    values: F32 = scale(b["d"]) * (value - np.float32(zero))
    return values


def _plus_minimum(b: Blocks, value: F32) -> F32:
    values: F32 = scale(b["d"]) * value + scale(b["m"])
    return values


def _four_bits(b: Blocks) -> F32:
    """float32[n, 32]: the low halves of the 16 bytes of `q`, then the high halves."""
    return floats(flat(nibbles(b["q"], 16)))


def _five_bits(b: Blocks) -> F32:
    """float32[n, 32]: four low bits from `q`; the fifth of value i is bit i of `h`."""
    fifth = np.unpackbits(b["h"], axis=1, bitorder="little")
    return floats(flat(nibbles(b["q"], 16)) | fifth << np.uint8(4))


def _q8_0(b: Blocks) -> F32:
    return scale(b["d"]) * floats(b["q"])


def _iq4_nl(b: Blocks) -> F32:
    return flat(scale(b["d"]) * _IQ4[flat(nibbles(b["q"], 16))])


def _iq4_xs(b: Blocks) -> F32:
    """Eight groups of 32; their 6-bit scales are split over `l` (4 bits each) and `h` (2 bits each)."""
    group = np.arange(8, dtype=np.uint16)
    low = flat(b["l"][:, :, None] >> np.array([0, 4], np.uint8)) & np.uint8(15)
    high = (b["h"][:, None] >> 2 * group & np.uint16(3)).astype(np.uint8)
    scales = floats(low | high << np.uint8(4)) - np.float32(32)
    levels = _IQ4[nibbles(b["q"], 16)].reshape(len(b), 8, 32)
    return flat((scale(b["d"]) * scales)[:, :, None] * levels)


def _block(*fields: tuple[Any, ...]) -> np.dtype[Any]:
    return np.dtype(list(fields))


_DECODERS: dict[TensorType, tuple[np.dtype[Any], _Decode]] = {
    TensorType.F32: (np.dtype("<f4"), _float),
    TensorType.F16: (np.dtype("<f2"), _float),
    TensorType.BF16: (np.dtype("<u2"), _bf16),
    TensorType.Q4_0: (_block(("d", "<f2"), ("q", "u1", 16)), _q4_0),
    TensorType.Q4_1: (_block(("d", "<f2"), ("m", "<f2"), ("q", "u1", 16)), _q4_1),
    TensorType.Q5_0: (_block(("d", "<f2"), ("h", "u1", 4), ("q", "u1", 16)), _q5_0),
    TensorType.Q5_1: (_block(("d", "<f2"), ("m", "<f2"), ("h", "u1", 4), ("q", "u1", 16)), _q5_1),
    TensorType.Q8_0: (_block(("d", "<f2"), ("q", "i1", 32)), _q8_0),
    TensorType.IQ4_NL: (_block(("d", "<f2"), ("q", "u1", 16)), _iq4_nl),
    TensorType.IQ4_XS: (_block(("d", "<f2"), ("h", "<u2"), ("l", "u1", 4), ("q", "u1", 128)), _iq4_xs),
    TensorType.Q2_K: (_block(("s", "u1", 16), ("q", "u1", 64), ("d", "<f2"), ("m", "<f2")), kquants.q2_k),
    TensorType.Q3_K: (_block(("h", "u1", 32), ("q", "u1", 64), ("s", "u1", 12), ("d", "<f2")), kquants.q3_k),
    TensorType.Q4_K: (_block(("d", "<f2"), ("m", "<f2"), ("s", "u1", 12), ("q", "u1", 128)), kquants.q4_k),
    TensorType.Q5_K: (
        _block(("d", "<f2"), ("m", "<f2"), ("s", "u1", 12), ("h", "u1", 32), ("q", "u1", 128)),
        kquants.q5_k,
    ),
    TensorType.Q6_K: (_block(("q", "u1", 128), ("h", "u1", 64), ("s", "i1", 16), ("d", "<f2")), kquants.q6_k),
}
