"""Attention over a paged cache."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from gemwright import _native
from gemwright.step import F32, I32, Step

PAGE_TOKENS = 32
"""Tokens of one page; fixed in native/core/kernels.h."""


class KVFormat(IntEnum):
    """How keys and values are kept; numbers as in native/core/kernels.h. I8 has a scale per token and head."""

    F32 = 0
    F16 = 1
    I8 = 2


def page_bytes(format: KVFormat, head_dim: int) -> tuple[int, int]:
    """Bytes of a page of keys and of a page of values of one head."""
    return _native.page_bytes(int(format), head_dim)


@dataclass(frozen=True)
class PagedLayer:
    """The cache of one layer.

    k, v: uint8[pages, K, bytes of a page] (`page_bytes`); how a page lies in memory is drawn in native/core/kernels.h.
    table: int32[slots, ring]; the page of logical page p of a slot is table[slot, p % ring].
    window: keys a query sees, itself included; 0 means all.
    """

    k: npt.NDArray[np.uint8]
    v: npt.NDArray[np.uint8]
    table: I32
    window: int
    format: KVFormat


def cache_write(layer: PagedLayer, step: Step, k: F32, v: F32) -> None:
    """Stores keys and values [T, K, H] of the step's tokens at their positions, rounded to the layer's format."""
    _native.cache_write(k, v, layer.k, layer.v, int(layer.format), layer.table, step.slots, step.positions)


_OWN: I32 = np.empty(0, np.int32)


def attend(q: F32, layer: PagedLayer, step: Step, scale: float, softcap: float = 0.0, reach: I32 | None = None) -> F32:
    """softmax(scale · q kᵀ) v over the keys each token may see: float32[T, N, H]. q: [T, N, H], N a multiple of K.

    A token at position p sees those at p − window < k ≤ reach, which must have been written before.
    softcap c > 0 replaces scores s by c · tanh(s / c).
    reach: int32[T], the last position each token sees, not before its own; its own by default.
    """
    return _native.attend(
        q,
        layer.k,
        layer.v,
        int(layer.format),
        layer.table,
        step.slots,
        step.positions,
        _OWN if reach is None else reach,
        scale,
        layer.window,
        softcap,
    )
