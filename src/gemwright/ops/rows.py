"""Operations that take each row or token by itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gemwright import _native
from gemwright.step import F32, I32


def rms_norm(x: F32, scale: F32, eps: float) -> F32:
    """x / sqrt(mean(x², last axis) + eps) · scale. x: [..., n], scale: [n]; arXiv:1910.07467.

    `scale` is the whole factor: where a checkpoint stores scale − 1, the loader has added the one.
    """
    return _native.rms_norm(x, scale, eps)


def rope_table(positions: I32, head_dim: int, base: float, stretch: float = 1.0, turned: int | None = None) -> F32:
    """Cosines, then sines, of position / stretch · base^(−2h/H): float32[T, H]. positions: int32[T].

    turned: only the first so many of the H/2 pairs have an angle, the others 0; all by default.
    """
    return _native.rope_table(positions, head_dim, base, stretch, head_dim // 2 if turned is None else turned)


def rope(x: F32, table: F32) -> F32:
    """`x` with each pair (h, h + H/2) turned by its angle. x: [T, heads, H], table: `rope_table`; arXiv:2104.09864."""
    return _native.rope(x, table)


def norm_rope(x: F32, scale: F32, eps: float, table: F32) -> F32:
    """`rope` of `rms_norm` along the last axis, in one pass. x: [T, heads, H], scale: [H], table: `rope_table`."""
    return _native.norm_rope(x, scale, eps, table)


def add_norm(x: F32, y: F32, scale: F32, next_scale: F32, eps: float) -> tuple[F32, F32]:
    """The residual stream after a block and its norm for the next one, in one pass: (s, n), both [T, D].

    s = x + rms_norm(y, scale), n = rms_norm(s, next_scale). x, y: [T, D].
    """
    return _native.add_norm(x, y, scale, next_scale, eps)


def geglu_mul(gate: F32, up: F32) -> F32:
    """gelu(gate) · up with the tanh form of GELU. Both [T, width]; arXiv:2002.05202, arXiv:1606.08415."""
    return _native.geglu_mul(gate, up)


def add(a: F32, b: F32) -> F32:
    """a + b, both [T, D]."""
    return _native.add(a, b)


def softcap(x: F32, cap: float) -> F32:
    """cap · tanh(x / cap), to an absolute 1e-7 of cap: [T, n]. arXiv:2408.00118, section 2."""
    return _native.softcap(x, cap)


def softmax(x: F32) -> F32:
    """exp(x) / Σ exp(x) of each row: [T, n]."""
    return _native.softmax(x)


def sparsify(x: F32, deviations: float) -> F32:
    """max(x − mean(x) − deviations · std(x), 0) of each row, std of all its values: [T, n]. arXiv:2506.06644."""
    return _native.sparsify(x, deviations)


def mean_square(x: F32) -> F32:
    """mean(x²) of each row: float32[T]. x: [T, n]."""
    return _native.mean_square(x)


def mix(x: F32, factor: F32) -> F32:
    """Σ_j factor[t, i, j] · x[t, j]: float32[T, I, D]. x: [T, J, D], factor: [T, I, J]."""
    return _native.mix(x, factor)


def spread(x: F32, factor: F32, d: F32) -> F32:
    """x[t, i] + factor[t, i] · d[t]: float32[T, I, D]. x: [T, I, D], factor: [T, I], d: [T, D]."""
    return _native.spread(x, factor, d)


def argmax(row: F32) -> int:
    """Index of the largest of float32[V], the lowest one among equals; −1 if any value is NaN or infinite."""
    return _native.argmax(row)


def top_k(row: F32, k: int) -> tuple[I32, F32]:
    """The k largest of float32[V]: (indices, values), largest first and the lowest index first among equals."""
    return _native.top_k(row, k)


def log_sum_exp(row: F32) -> float:
    """log Σ exp(row), the normaliser of log-probabilities. row: float32[V]."""
    return _native.log_sum_exp(row)


def scan_strings(region: npt.NDArray[np.uint8], offset: int, count: int) -> int:
    """Where `count` strings (uint64 length, then bytes) from `offset` on end, or −1 if they would pass the end."""
    return _native.scan_strings(region, offset, count)
