"""The K types: 256 values in groups of 16 or 32, each group with its own small integer scale.

Field names as in `dequant`: d, m are float16 factors for the scales and minima, s the packed group scales, q the low
bits of the values, h the high bits.
"""

from __future__ import annotations

import numpy as np

from gemwright.weights.bits import F32, U8, Blocks, flat, floats, nibbles, pairs, planes, scale


def q2_k(b: Blocks) -> F32:
    """d·s·q - m·t with s, t the low and high half of a scale byte; 16 groups of 16."""
    factor = scale(b["d"]) * floats(b["s"] & np.uint8(15))
    offset = scale(b["m"]) * floats(b["s"] >> np.uint8(4))
    return flat(factor[:, :, None] * _groups(pairs(b["q"], 32), 16) - offset[:, :, None])


def q3_k(b: Blocks) -> F32:
    """d·(s - 32)·(q - 4 where the high bit is clear); 16 groups of 16."""
    low = nibbles(b["s"][:, :8], 8).reshape(-1, 16)
    high = pairs(b["s"][:, 8:], 4).reshape(-1, 16)
    factor = scale(b["d"]) * (floats(low | high << np.uint8(4)) - np.float32(32))
    value = flat(pairs(b["q"], 32)) | flat(planes(b["h"], 32)) << np.uint8(2)
    return flat(factor[:, :, None] * (_groups(value, 16) - np.float32(4)))


def q4_k(b: Blocks) -> F32:
    """d·s·q - m·t; 8 groups of 32."""
    return _scaled_and_shifted(b, flat(nibbles(b["q"], 32)))


def q5_k(b: Blocks) -> F32:
    """As q4_k, with bit g of h the fifth bit of group g's values."""
    return _scaled_and_shifted(b, flat(nibbles(b["q"], 32)) | flat(planes(b["h"], 32)) << np.uint8(4))


def q6_k(b: Blocks) -> F32:
    """d·s·(q - 32); 16 groups of 16."""
    value = flat(nibbles(b["q"], 64)) | flat(pairs(b["h"], 32)) << np.uint8(4)
    factor = scale(b["d"]) * floats(b["s"])
    return flat(factor[:, :, None] * (_groups(value, 16) - np.float32(32)))


def _scaled_and_shifted(b: Blocks, value: U8) -> F32:
    """Groups 0-3 keep their scale and minimum in six bits of a byte; 4-7 in a half byte and those bytes' top bits."""
    first, second, last = b["s"][:, :4], b["s"][:, 4:8], b["s"][:, 8:]
    four, six, top = np.uint8(4), np.uint8(63), np.uint8(6)
    scales = np.hstack([first & six, last & np.uint8(15) | first >> top << four])
    minima = np.hstack([second & six, last >> four | second >> top << four])
    factor = scale(b["d"]) * floats(scales)
    offset = scale(b["m"]) * floats(minima)
    return flat(factor[:, :, None] * _groups(value, 32) - offset[:, :, None])


def _groups(value: U8, size: int) -> F32:
    return floats(value.reshape(len(value), -1, size))
