"""The key and value cache: pages of 32 tokens, a page table per sequence, rings for layers with a window.

A sequence reserves on opening all the room it can ever need, so nothing is preempted later. A layer that sees all
keys takes a page per 32 tokens. A layer with a window needs only the pages a step can reach, whatever the length of
the sequence: they form a ring, and at each place of it a new page takes turns with an old one.

A full page is never written again. Texts that begin alike share their full pages (docs/concepts/prefix-cache.md).
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gemwright.errors import CapacityError
from gemwright.ops import PAGE_TOKENS, KVFormat, PagedLayer, page_bytes
from gemwright.pages import Pool
from gemwright.prefixes import Block, Prefixes


def pages_for(tokens: int) -> int:
    """Pages that hold `tokens` tokens."""
    return -(-tokens // PAGE_TOKENS)


class LayerShape(NamedTuple):
    """What one layer keeps. window: the keys a token sees, itself included; 0 for all. head_dim: width of a head."""

    window: int
    kv_heads: int
    head_dim: int


@dataclass
class _Sequence:
    """An open slot. last: the block of its last known page; known: so many pages are. promised: by pool, in order."""

    last: Block
    known: int
    promised: list[int]


class KVCache:
    """Room for `capacity_tokens` tokens of up to `max_sequences` sequences.

    layers: those that keep keys and values. max_step_tokens: the most tokens one sequence has in a step.
    """

    def __init__(
        self,
        layers: Sequence[LayerShape],
        *,
        capacity_tokens: int,
        max_step_tokens: int,
        max_sequences: int,
        format: KVFormat = KVFormat.F16,
    ) -> None:
        self._free_slots = list(range(max_sequences))[::-1]
        self._prefixes = Prefixes()
        self._pools = {
            window: self._pool(window, pages_for(capacity_tokens), max_step_tokens, max_sequences)
            for window in sorted({layer.window for layer in layers})
        }
        self._sequences: dict[int, _Sequence] = {}
        self.max_step_tokens = max_step_tokens
        self.capacity_tokens = capacity_tokens
        self._layers = []
        for layer in layers:
            pool = self._pools[layer.window]
            k, v = (_lazy_zeros((pool.count, layer.kv_heads, size)) for size in page_bytes(format, layer.head_dim))
            self._layers.append(PagedLayer(k, v, pool.table, layer.window, format))

    def layer(self, index: int) -> PagedLayer:
        """The cache of number `index` of the layers."""
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
            self.capacity_tokens if unpromised >= pool.ring else unpromised * PAGE_TOKENS
            for pool in self._pools.values()
            for unpromised in [pool.count - pool.promised]
        )

    def open(self, max_tokens: int) -> int:
        """`reserve`, with pages for all of it at once: for callers that write without `prepare`, each ring in turn."""
        slot = self.reserve(max_tokens)
        for pool in self._pools.values():
            for page in range(min(pages_for(max_tokens), pool.ring)):
                pool.own(slot, page)
        return slot

    def reserve(self, max_tokens: int, salt: str = "") -> int:
        """A slot with room for a sequence of `max_tokens` tokens. Raises CapacityError when there is none now.

        salt: only sequences under the same one share pages.
        """
        if max_tokens > self.free_tokens():
            raise CapacityError(
                f"The cache has room for a sequence of {self.free_tokens()} tokens now; {max_tokens} were asked for.",
                hint="Wait for a running request to end, ask for fewer tokens, or load with a larger context.",
            )
        promised = [min(pages_for(max_tokens), pool.ring) for pool in self._pools.values()]
        for pool, pages in zip(self._pools.values(), promised, strict=True):
            pool.promised += pages
        slot = self._free_slots.pop()
        start = self._prefixes.start(salt)
        start.users += 1
        self._sequences[slot] = _Sequence(start, 0, promised)
        return slot

    def reuse(self, slot: int, tokens: Sequence[int]) -> int:
        """How many of the slot's tokens are known, after taking over all that others have computed: whole pages.

        tokens: of the sequence from its beginning. The last one is never taken over, so that something is computed.
        """
        sequence = self._sequences[slot]
        end = (len(tokens) - 1) // PAGE_TOKENS * PAGE_TOKENS
        blocks = self._prefixes.find(sequence.last, tokens[sequence.known * PAGE_TOKENS : end])
        reached = _reach(list(self._pools.values()), sequence.known, blocks)
        found = {sequence.known + i: block for i, block in enumerate(blocks)}
        for pool in self._pools.values() if reached > sequence.known else ():
            pages = range(max(sequence.known, _oldest(pool.window, reached)), reached)
            pool.adopt(slot, {page: found[page].pages[pool.window] for page in pages})
        if reached > sequence.known:
            self._follow(sequence, found[reached - 1], reached)
        return reached * PAGE_TOKENS

    def prepare(self, slot: int, start: int, count: int) -> None:
        """Pages of its own for the positions `start` to `start + count` of a slot, before they are written."""
        for pool in self._pools.values():
            for page in range(start // PAGE_TOKENS, pages_for(start + count)):
                pool.own(slot, page)

    def known_tokens(self, slot: int) -> int:
        """So many tokens from the beginning of the slot others may share."""
        return self._sequences[slot].known * PAGE_TOKENS

    def keep(self, slot: int, tokens: Sequence[int]) -> None:
        """Lets others share the slot's pages of these tokens: the ones after `known_tokens`, computed and final.

        What does not fill a page is left for the next time.
        """
        sequence = self._sequences[slot]
        for at in range(0, len(tokens) - PAGE_TOKENS + 1, PAGE_TOKENS):
            block = self._prefixes.add(sequence.last, tokens[at : at + PAGE_TOKENS])
            for pool in self._pools.values():
                page = pool.page(slot, sequence.known)
                if page is not None:
                    pool.name(page, block)
            self._follow(sequence, block, sequence.known + 1)

    def close(self, slot: int) -> None:
        """Frees the slot. Pages others may share are kept until their room is needed."""
        if slot not in self._sequences:
            raise ValueError(f"slot {slot} is not open")
        sequence = self._sequences.pop(slot)
        for pool, pages in zip(self._pools.values(), sequence.promised, strict=True):
            pool.close(slot)
            pool.promised -= pages
        sequence.last.users -= 1
        self._prefixes.drop(sequence.last)
        self._free_slots.append(slot)

    def _follow(self, sequence: _Sequence, block: Block, known: int) -> None:
        block.users += 1
        before, sequence.last, sequence.known = sequence.last, block, known
        before.users -= 1
        self._prefixes.drop(before)

    def _pool(self, window: int, capacity_pages: int, max_step_tokens: int, max_sequences: int) -> Pool:
        ring = capacity_pages
        if window:
            # A step of n tokens touches n + window - 1 positions, which may begin anywhere within a page.
            ring = min(ring, pages_for(window - 1 + max_step_tokens) + 1)
        return Pool(window, min(capacity_pages, ring * max_sequences), ring, max_sequences, self._prefixes)


def _oldest(window: int, pages: int) -> int:
    """The oldest page that the token after so many pages still sees."""
    return max(0, (pages * PAGE_TOKENS - window + 1) // PAGE_TOKENS) if window else 0


def _reach(pools: Sequence[Pool], known: int, blocks: Sequence[Block]) -> int:
    """The most pages after which a sequence that has `known` may go on: every pool has what is seen from there."""
    reached = known
    runs = [0] * len(pools)  # so many blocks in a row, up to this one, have a page
    for i, block in enumerate(blocks):
        runs = [run + 1 if pool.window in block.pages else 0 for pool, run in zip(pools, runs, strict=True)]
        pages = known + i + 1
        if all(run >= min(i + 1, pages - _oldest(pool.window, pages)) for pool, run in zip(pools, runs, strict=True)):
            reached = pages
    return reached


def _lazy_zeros(shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Zeros that take memory only where they are written, 4 KiB at a time.

    np.zeros asks for huge pages: the first token of a request would take 2 MiB of every array, 72 MiB in a 270M.
    """
    memory = mmap.mmap(-1, max(math.prod(shape), 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.frombuffer(memory, np.uint8, math.prod(shape)).reshape(shape)
