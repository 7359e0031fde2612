"""Attention over a paged cache."""

from __future__ import annotations

from dataclasses import dataclass

from gemwright import _native
from gemwright.step import F32, I32, Step

PAGE_TOKENS = 32
"""Tokens of one page; fixed in native/core/kernels.h."""


@dataclass(frozen=True)
class PagedLayer:
    """The cache of one layer.

    k: float32[pages, K, 2, H, 16], two halves of 16 tokens, dimension by dimension: the kernels' lanes are tokens.
    v: float32[pages, K, ceil(H/16), 32, 16], slices of 16 dimensions, token by token, the last slice padded.
    table: int32[slots, ring]; the page of logical page p of a slot is table[slot, p % ring].
    window: keys a query sees, itself included; 0 means all.
    """

    k: F32
    v: F32
    table: I32
    window: int


def cache_write(layer: PagedLayer, step: Step, k: F32, v: F32) -> None:
    """Stores keys and values [T, K, H] of the step's tokens at their positions."""
    _native.cache_write(k, v, layer.k, layer.v, layer.table, step.slots, step.positions)


def attend(q: F32, layer: PagedLayer, step: Step, scale: float, softcap: float = 0.0) -> F32:
    """softmax(scale · q kᵀ) v over the keys each token may see: float32[T, N, H]. q: [T, N, H], N a multiple of K.

    The step's own keys must have been written before. softcap c > 0 replaces scores s by c · tanh(s / c).
    """
    return _native.attend(q, layer.k, layer.v, layer.table, step.slots, step.positions, scale, layer.window, softcap)
