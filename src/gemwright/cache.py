"""The key and value cache: pages of 32 tokens, a page table per sequence, rings for layers with a window.

A sequence reserves on opening all the room it can ever need, so nothing is preempted later. A layer that sees all
keys takes a page per 32 tokens. A layer with a window needs only the pages a step can reach, whatever the length of
the sequence: they form a ring, and old pages are overwritten in turn. Pages are filled in order and never moved,
which is what sharing a common prefix between sequences needs.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gemwright.errors import CapacityError
from gemwright.ops import PAGE_TOKENS, KVFormat, PagedLayer, page_bytes
from gemwright.step import I32


def pages_for(tokens: int) -> int:
    """Pages that hold `tokens` tokens."""
    return -(-tokens // PAGE_TOKENS)


@dataclass
class _Pool:
    """Pages of all layers with one window: the free ones, and which belong to which sequence."""

    free: list[int]
    table: I32
    ring: int


class KVCache:
    """Room for `capacity_tokens` tokens of up to `max_sequences` sequences.

    windows: for each layer the keys it sees, 0 for all. max_step_tokens: the most tokens one sequence has in a step.
    """

    def __init__(
        self,
        windows: Sequence[int],
        kv_heads: int,
        head_dim: int,
        *,
        capacity_tokens: int,
        max_step_tokens: int,
        max_sequences: int,
        format: KVFormat = KVFormat.F16,
    ) -> None:
        self._free_slots = list(range(max_sequences))[::-1]
        self._pools = {
            window: _pool(window, pages_for(capacity_tokens), max_step_tokens, max_sequences) for window in set(windows)
        }
        self.max_step_tokens = max_step_tokens
        self.capacity_tokens = capacity_tokens
        self._layers = []
        for window in windows:
            pool = self._pools[window]
            k, v = (_lazy_zeros((len(pool.free), kv_heads, size)) for size in page_bytes(format, head_dim))
            self._layers.append(PagedLayer(k, v, pool.table, window, format))

    def layer(self, index: int) -> PagedLayer:
        """The cache of layer `index`."""
        return self._layers[index]

    @property
    def nbytes(self) -> int:
        """Bytes when every page is in use."""
        return sum(layer.k.nbytes + layer.v.nbytes for layer in self._layers)

    def free_tokens(self) -> int:
        """The longest sequence that `open` would admit now."""
        if not self._free_slots:
            return 0
        # a ring that is short of pages limits the length only if the sequence would need the whole ring
        return min(
            self.capacity_tokens if len(pool.free) >= pool.ring else len(pool.free) * PAGE_TOKENS
            for pool in self._pools.values()
        )

    def open(self, max_tokens: int) -> int:
        """A slot with room for a sequence of `max_tokens` tokens. Raises CapacityError when there is none now."""
        if max_tokens > self.free_tokens():
            raise CapacityError(
                f"The cache has room for a sequence of {self.free_tokens()} tokens now; {max_tokens} were asked for.",
                hint="Wait for a running request to end, ask for fewer tokens, or load with a larger context.",
            )
        slot = self._free_slots.pop()
        for pool in self._pools.values():
            for i in range(min(pages_for(max_tokens), pool.ring)):
                pool.table[slot, i] = pool.free.pop()
        return slot

    def close(self, slot: int) -> None:
        """Frees the slot and its pages."""
        if slot in self._free_slots:
            raise ValueError(f"slot {slot} is not open")
        for pool in self._pools.values():
            pool.free.extend(int(page) for page in pool.table[slot][::-1] if page >= 0)
            pool.table[slot] = -1
        self._free_slots.append(slot)


def _lazy_zeros(shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Zeros that take memory only where they are written, 4 KiB at a time.

    np.zeros asks for huge pages: the first token of a request would take 2 MiB of every array, 72 MiB in a 270M.
    """
    memory = mmap.mmap(-1, max(math.prod(shape), 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.frombuffer(memory, np.uint8, math.prod(shape)).reshape(shape)


def _pool(window: int, capacity_pages: int, max_step_tokens: int, max_sequences: int) -> _Pool:
    ring = capacity_pages
    if window:
        # A step of n tokens touches n + window - 1 positions, which may begin anywhere within a page.
        ring = min(ring, pages_for(window - 1 + max_step_tokens) + 1)
    pages = min(capacity_pages, ring * max_sequences)
    return _Pool(list(range(pages))[::-1], np.full((max_sequences, ring), -1, np.int32), ring)
