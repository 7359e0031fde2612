"""What every op means, in plain NumPy: the definition for readers and the oracle of the tests.

Nothing here is fast and nothing at run time uses it. Everything is float32 unless a line says otherwise.
Axes: T tokens, S keys, D hidden, N query heads, K key/value heads, H head dimension, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]

GROUP = 32  # columns that share one scale when activations are quantised
WIDE_LIMIT = 32_639  # largest int16 code: 127 · 256 + 127, which two planes of bytes can hold


def embed(table: F32, tokens: I32, scale: float) -> F32:
    """Row `tokens[t]` of `table` times `scale`: [V, D], [T] → [T, D]. Gemma: scale = sqrt(D)."""
    y: F32 = table[tokens] * np.float32(scale)
    return y


def linear(x: F32, w: F32) -> F32:
    """x · wᵀ: [T, in], [out, in] → [T, out]. No bias: no Gemma decoder has one."""
    y: F32 = x @ w.T
    return y


def add(a: F32, b: F32) -> F32:
    """a + b, same shapes."""
    return a + b


def rms_norm(x: F32, scale: F32, eps: float) -> F32:
    """x / sqrt(mean(x²) + eps) · scale along the last axis: [..., n], [n] → [..., n].

    `scale` is the whole factor: a loader of Gemma 1-3 safetensors adds the 1 first. Source: arXiv:1910.07467.
    """
    mean_square: F32 = np.mean(np.square(x), axis=-1, keepdims=True)
    return np.asarray(x / np.sqrt(mean_square + np.float32(eps)) * scale, np.float32)


def rope_table(positions: I32, head_dim: int, base: float, factor: float = 1.0, turned: int | None = None) -> F32:
    """Cosines, then sines, of the angles position / factor · base^(-2h/H) of the H/2 pairs h: [T] → [T, H].

    Angles in float64, so that position 100,000 is as exact as position 1. `factor` is linear rope scaling. Pairs from
    `turned` on have the angle 0. Source: arXiv:2104.09864 eq. 34; arXiv:2306.15595 for the scaling; for `turned`
    transformers 5.23, `modeling_rope_utils.py`, "proportional".
    """
    frequencies = float(base) ** (-2.0 * np.arange(head_dim // 2) / head_dim)
    frequencies[turned if turned is not None else head_dim // 2 :] = 0.0
    angles = np.outer(np.asarray(positions, np.float64) / factor, frequencies)
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=-1).astype(np.float32)


def rope(x: F32, table: F32) -> F32:
    """`x` with each pair (h, h + H/2) turned by its token's angle: [T, heads, H], [T, H] → [T, heads, H]."""
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    cos, sin = table[:, None, :half], table[:, None, half:]
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def geglu_mul(gate: F32, up: F32) -> F32:
    """gelu(gate) · up with gelu(x) = x/2 · (1 + tanh(sqrt(2/π) (x + 0.044715 x³))). Source: arXiv:2002.05202."""
    inner = np.float32(np.sqrt(2.0 / np.pi)) * (gate + np.float32(0.044715) * (gate * gate * gate))
    gelu: F32 = np.float32(0.5) * gate * (np.float32(1.0) + np.tanh(inner))
    return gelu * up


def softmax(x: F32) -> F32:
    """exp(x) / Σ exp(x) along the last axis; -inf gives exactly 0. A row must hold one finite value at least."""
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    total: F32 = np.sum(e, axis=-1, keepdims=True)
    return np.asarray(e / total, np.float32)


def attend(
    q: F32,
    k: F32,
    v: F32,
    q_positions: I32,
    k_positions: I32,
    scale: float,
    window: int | None = None,
    softcap: float | None = None,
    reach: I32 | None = None,
) -> F32:
    """Attention of one sequence with grouped heads: [T, N, H], [S, K, H], [S, K, H] → [T, N, H].

    Query head n reads key head n // (N/K). A key is seen iff q_position - window < k_position ≤ reach, which is the
    query's own position by default; the window counts the query's own key. Scores are scaled, then capped
    (cap · tanh(score / cap)), then masked.
    Source: arXiv:2503.19786 §2.
    """
    group = q.shape[1] // k.shape[1]
    k, v = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)
    scores = np.float32(scale) * np.matmul(q.transpose(1, 0, 2), k.transpose(1, 2, 0))  # [N, T, S]
    if softcap is not None:
        scores = np.float32(softcap) * np.tanh(scores / np.float32(softcap))
    distance = np.asarray(q_positions)[:, None] - np.asarray(k_positions)[None, :]
    last = q_positions if reach is None else reach
    seen = np.asarray(k_positions)[None, :] <= np.asarray(last)[:, None]
    if window is not None:
        seen &= distance < window
    weights = softmax(np.where(seen, scores, np.float32(-np.inf)))
    return np.ascontiguousarray(np.matmul(weights, v.transpose(1, 0, 2)).transpose(1, 0, 2))


def softcap(x: F32, cap: float) -> F32:
    """cap · tanh(x / cap). Source: arXiv:2408.00118 §2."""
    y: F32 = np.float32(cap) * np.tanh(x / np.float32(cap))
    return y


def sparsify(x: F32, deviations: float) -> F32:
    """max(x − mean − deviations · std, 0) along the last axis, std over all n values. Source: arXiv:2506.06644."""
    mean, std = np.mean(x, axis=-1, keepdims=True), np.std(x, axis=-1, keepdims=True)
    y: F32 = np.maximum(x - mean - np.float32(deviations) * std, np.float32(0))
    return y


def mean_square(x: F32) -> F32:
    """mean(x²) along the last axis: [T, n] → [T]."""
    return np.asarray(np.mean(np.square(x), axis=-1), np.float32)


def mix(x: F32, factor: F32) -> F32:
    """Every output stream a sum of the input streams, by factors of the token: [T, J, D], [T, I, J] → [T, I, D]."""
    return np.asarray(np.matmul(factor, x), np.float32)


def spread(x: F32, factor: F32, d: F32) -> F32:
    """To every stream its share of one change: [T, I, D], [T, I], [T, D] → [T, I, D]."""
    y: F32 = x + factor[..., None] * d[:, None, :]
    return y


def argmax(row: F32) -> int:
    """Index of the largest value, the lowest one among equals; -1 if any value is NaN or infinite. [V]"""
    return int(np.argmax(row)) if np.isfinite(row).all() else -1


def top_k(row: F32, k: int) -> tuple[I32, F32]:
    """(ids, values) of the k largest of [V]: by value, largest first, equal ones by id."""
    ids = np.argsort(-row, kind="stable")[:k]
    return ids.astype(np.int32), row[ids]


def log_sum_exp(row: F32) -> float:
    """log Σ exp(row) of [V], in float64: what turns a logit into a log-probability."""
    top = float(np.max(row))
    return top + float(np.log(np.sum(np.exp(row.astype(np.float64) - top))))


@dataclass(frozen=True)
class QuantisedActivations:
    """x ≈ codes · scale (its group's), plus the outliers, exact, in columns where the code is 0.

    codes: int16[T, K] (int8 values on the int8 path); scale: float32[T, K/32];
    outlier_at: int32[T, m], ascending columns; outlier: float32[T, m].
    """

    codes: npt.NDArray[np.int16]
    scale: F32
    outlier_at: I32
    outlier: F32

    def to_f32(self) -> F32:
        """The values the codes and outliers stand for: [T, K]."""
        groups = self.codes.astype(np.float32).reshape(*self.scale.shape, GROUP)
        x = (groups * self.scale[..., None]).reshape(self.codes.shape)
        np.put_along_axis(x, self.outlier_at.astype(np.int64), self.outlier, axis=1)
        return x


def outliers_of(columns: int) -> int:
    """How many channels of a token stay in float on the int8 path, of a matrix with so many columns."""
    return 4 if columns < 256 else 8 if columns < 1024 else 16 if columns < 2048 else 32


def quantise_activations(x: F32, *, limit: int = 127, outliers: int | None = None) -> QuantisedActivations:
    """`x` [T, K], K a multiple of 32, in integers of magnitude ≤ `limit`, one scale per token and 32 columns.

    limit 127 with `outliers_of` outliers (the default) is the int8 path (`linear_int8`); limit WIDE_LIMIT without any
    is the int16 one (`linear_int16`).
    The `outliers` columns of largest |x| of a token (the lowest column among equals) are kept in float and
    replaced by 0. Then, per group: amax = max |x|, code = x · (limit / amax) rounded half to even,
    scale = amax / limit. A group whose amax is 0, or so small that limit / amax overflows, has codes of 0.
    """
    x = np.asarray(x, np.float32)
    if outliers is None:
        outliers = outliers_of(x.shape[1])
    at = np.sort(np.argsort(-np.abs(x), axis=1, kind="stable")[:, :outliers], axis=1)
    kept = np.take_along_axis(x, at, axis=1)
    rest = x.copy()
    np.put_along_axis(rest, at, np.float32(0), axis=1)
    groups = rest.reshape(len(x), -1, GROUP)
    amax = np.abs(groups).max(axis=2)
    with np.errstate(divide="ignore", over="ignore"):
        inverse = np.float32(limit) / amax
    inverse = np.where(np.isfinite(inverse), inverse, np.float32(0))
    codes = np.rint(groups * inverse[..., None]).astype(np.int16).reshape(x.shape)
    return QuantisedActivations(codes, amax / np.float32(limit), at.astype(np.int32), kept)


def linear_int8(x: F32, w: F32, *, outliers: int | None = None) -> F32:
    """`linear` with int8 activations: [T, in], [out, in] → [T, out], in a multiple of 32.

    Weights are exact, activations quantised: Σ over groups of scale · (codes · w), plus the outliers' products.
    Kernels add the same terms in another order: compare with a tolerance.
    """
    return linear(quantise_activations(x, outliers=outliers).to_f32(), w)


def linear_int16(x: F32, w: F32) -> F32:
    """`linear` with int16 activations and no outliers: shapes and meaning as `linear_int8`."""
    return linear(quantise_activations(x, limit=WIDE_LIMIT, outliers=0).to_f32(), w)
