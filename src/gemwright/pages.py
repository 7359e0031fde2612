"""Who holds which page: the page table of all layers with one window, with counts of holders.

A page that nobody holds but whose content is known (a whole block of some text) is kept until its room is needed, the
one unused for longest first. So whatever was promised to a sequence can always be taken: kept pages count as free.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import numpy as np

from gemwright.prefixes import Block, Prefixes
from gemwright.step import I32


class Pool:
    """`count` pages, and for each of `slots` sequences a ring of `ring` places for its latest pages.

    window: of its layers, 0 if they see everything; then a ring is long enough for the longest sequence.
    table: int32[slots, ring], the page at each place; logical page p of a sequence is at place p % ring.
    """

    def __init__(self, window: int, count: int, ring: int, slots: int, prefixes: Prefixes) -> None:
        self.window = window
        self.count = count
        self.ring = ring
        self.table: I32 = np.full((slots, ring), -1, np.int32)
        self.promised = 0
        self._prefixes = prefixes
        self._logical = [[-1] * ring for _ in range(slots)]
        self._holders = [0] * count
        self._blocks: dict[int, Block] = {}
        self._free = list(range(count))[::-1]
        self._kept: OrderedDict[int, None] = OrderedDict()
        self._most_held = 0

    def page(self, slot: int, logical: int) -> int | None:
        """The page of a sequence that holds its logical page, if it still does."""
        place = logical % self.ring
        return int(self.table[slot, place]) if self._logical[slot][place] == logical else None

    def own(self, slot: int, logical: int) -> None:
        """A page for the logical page, to be written; what was at its place is released."""
        if self.page(slot, logical) is None:
            self._clear(slot, logical % self.ring)  # before taking: the released page may be the only one there is
            self._put(slot, logical, self._take())

    def adopt(self, slot: int, pages: Mapping[int, int]) -> None:
        """Known pages, by logical page, as the sequence's own; they must not be written."""
        for page in pages.values():  # all of them first: what is released next may push others out
            self._hold(page)
        for logical, page in pages.items():
            self._put(slot, logical, page)

    def name(self, page: int, block: Block) -> None:
        """The page holds the block from now on, unless another page does already."""
        if self.window not in block.pages:
            block.pages[self.window] = page
            self._blocks[page] = block

    def close(self, slot: int) -> None:
        """Releases all pages of the sequence, first the ones whose loss costs least.

        That is the end of a text for layers that see everything, since the beginning is of use without it; with a
        window it is the oldest page, since a text goes on at its end.
        """
        places = [place for place in range(self.ring) if self._logical[slot][place] >= 0]
        for place in sorted(places, key=lambda place: self._logical[slot][place], reverse=not self.window):
            self._clear(slot, place)

    def _put(self, slot: int, logical: int, page: int) -> None:
        place = logical % self.ring
        self._clear(slot, place)
        self.table[slot, place] = page
        self._logical[slot][place] = logical

    def _clear(self, slot: int, place: int) -> None:
        page = int(self.table[slot, place])
        if page >= 0:
            self.table[slot, place] = -1
            self._logical[slot][place] = -1
            self._release(page)

    def _take(self) -> int:
        if not self._free:
            self._forget()
        page = self._free.pop()
        self._hold(page)
        return page

    def _hold(self, page: int) -> None:
        self._holders[page] += 1
        self._kept.pop(page, None)
        self._most_held = max(self._most_held, self.count - len(self._free) - len(self._kept))

    def _release(self, page: int) -> None:
        self._holders[page] -= 1
        if self._holders[page]:
            return
        if page not in self._blocks:
            self._free.append(page)
            return
        self._kept[page] = None
        # Rings shed pages as long as a text grows. Keeping more of them than ever ran at once would fill memory with
        # the middles of texts, which nobody continues.
        if self.window and len(self._kept) > self._most_held:
            self._forget()

    def _forget(self) -> None:
        """Gives up the kept page that was unused for longest."""
        page, _ = self._kept.popitem(last=False)
        block = self._blocks.pop(page)
        del block.pages[self.window]
        self._prefixes.drop(block)
        self._free.append(page)
