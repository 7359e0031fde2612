"""Sequences that begin alike share pages, and what a page held when it was known it holds as long as it is seen."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemwright.cache import KVCache, LayerShape
from gemwright.ops import PAGE_TOKENS

WINDOW, STEP = 40, 48


def cache(capacity: int = 640, sequences: int = 4, windows: Sequence[int] = (WINDOW, 0)) -> KVCache:
    return KVCache(
        [LayerShape(window, 1, 1) for window in windows],
        capacity_tokens=capacity,
        max_step_tokens=STEP,
        max_sequences=sequences,
    )


class Driven:
    """A cache whose pages hold, for every position, a hash of the text up to it; every write and read is checked."""

    def __init__(self, kv: KVCache) -> None:
        self.kv = kv
        self.held: dict[tuple[int, int, int], int] = {}
        self.computed: dict[int, int] = {}
        self.texts: dict[int, tuple[int, ...]] = {}
        self.hashes: dict[int, list[int]] = {}

    def start(self, text: Sequence[int], room: int, salt: str = "") -> int:
        slot = self.kv.reserve(room, salt)
        self.texts[slot], self.computed[slot] = tuple(text), 0
        self.hashes[slot] = list(accumulate(text, lambda before, token: hash((before, token)), initial=hash(salt)))[1:]
        return slot

    def reuse(self, slot: int) -> int:
        self.computed[slot] = max(self.computed[slot], self.kv.reuse(slot, self.texts[slot]))
        return self.computed[slot]

    def step(self, slot: int, count: int, wrong: int = 0) -> None:
        """Compute `count` tokens, of which the last `wrong` are no part of the text."""
        start = self.computed[slot]
        self.kv.prepare(slot, start, count)
        for position in range(start, start + count):
            self._write(slot, position, position >= start + count - wrong)
        self._read(slot, start, start + count - wrong)
        self.computed[slot] += count - wrong
        text = self.texts[slot]
        self.kv.keep(slot, text[self.kv.known_tokens(slot) : self.computed[slot]])

    def run(self, slot: int, to: int | None = None) -> None:
        end = len(self.texts[slot]) if to is None else to
        while self.computed[slot] < end:
            self.step(slot, min(STEP, end - self.computed[slot]))

    def close(self, slot: int) -> None:
        self.kv.close(slot)
        del self.texts[slot], self.computed[slot], self.hashes[slot]

    def _write(self, slot: int, position: int, wrong: bool) -> None:
        for layer, page in enumerate(self._pages(slot, position)):
            others = [s for s in self.texts if s != slot and page in self.kv.layer(layer).table[s].tolist()]
            assert not others, "a shared page is written"
            self.held[layer, page, position % PAGE_TOKENS] = -1 if wrong else self.hashes[slot][position]

    def _read(self, slot: int, start: int, end: int) -> None:
        """All that the positions from `start` to `end` see."""
        for layer, window in ((0, WINDOW), (1, 0)):
            for seen in range(max(0, start - window + 1) if window else 0, end):
                page = self._pages(slot, seen)[layer]
                assert self.held[layer, page, seen % PAGE_TOKENS] == self.hashes[slot][seen]

    def _pages(self, slot: int, position: int) -> list[int]:
        tables = [self.kv.layer(layer).table for layer in (0, 1)]
        return [int(table[slot, position // PAGE_TOKENS % table.shape[1]]) for table in tables]


TEXT = [7 * i % 50 for i in range(640)]


def test_a_second_sequence_takes_over_whole_pages_and_computes_its_last_token() -> None:
    driven = Driven(cache())
    first = driven.start(TEXT[:100], 120)
    driven.run(first)
    assert driven.reuse(driven.start(TEXT[:100], 120)) == 96
    assert driven.reuse(driven.start(TEXT[:96], 120)) == 64
    assert driven.reuse(driven.start([*TEXT[:70], 1, *TEXT[71:99]], 120)) == 64


def test_pages_are_shared_while_the_first_still_computes_and_after_it_is_gone() -> None:
    driven = Driven(cache())
    first, second = driven.start(TEXT[:200], 220), driven.start(TEXT[:200], 220)
    assert driven.reuse(second) == 0
    driven.step(first, 48)
    assert driven.reuse(second) == 32
    driven.step(second, 10)
    driven.run(first)
    assert driven.reuse(second) == 192, "even in the middle of a page"
    driven.close(first)
    driven.run(second)
    driven.close(second)
    assert driven.reuse(driven.start(TEXT[:300], 320)) == 192


@pytest.mark.parametrize("salts", [("", "a"), ("a", "b")])
def test_sequences_of_other_salts_share_nothing(salts: tuple[str, str]) -> None:
    driven = Driven(cache())
    first = driven.start(TEXT[:100], 120, salts[0])
    driven.run(first)
    assert driven.reuse(driven.start(TEXT[:100], 120, salts[1])) == 0
    assert driven.reuse(driven.start(TEXT[:100], 120, salts[0])) == 96


def test_a_long_text_is_taken_up_at_its_end_though_its_middle_is_gone_from_the_windows() -> None:
    driven = Driven(cache())
    first = driven.start(TEXT[:600], 640)
    driven.run(first)
    driven.close(first)
    again = driven.start(TEXT[:640], 640)
    assert driven.reuse(again) == 576
    driven.run(again)


def test_of_ten_thousand_tokens_only_the_last_page_is_computed_again() -> None:
    kv = KVCache(
        [LayerShape(512, 1, 1), LayerShape(0, 1, 1)], capacity_tokens=10_240, max_step_tokens=512, max_sequences=2
    )
    text = [i % 997 for i in range(10_000)]
    slot = kv.reserve(10_100)
    for start in range(0, 10_000, 500):
        kv.prepare(slot, start, 500)
        kv.keep(slot, text[kv.known_tokens(slot) : start + 500])
    kv.close(slot)
    assert kv.reuse(kv.reserve(10_240), [*text, 1, 2, 3]) == 9984


def test_a_text_that_parts_where_the_windows_are_gone_starts_anew() -> None:
    driven = Driven(cache())
    first = driven.start(TEXT[:600], 640)
    driven.run(first)
    driven.close(first)
    assert driven.reuse(driven.start([*TEXT[:200], 1, 2, 3], 300)) == 0


def test_what_is_kept_never_stands_in_the_way_of_new_sequences() -> None:
    driven = Driven(cache(capacity=320))
    for i in range(20):
        assert driven.kv.free_tokens() == 320
        slot = driven.start([i] * 300, 320)
        driven.run(slot)
        driven.close(slot)


def test_the_text_unused_for_longest_is_given_up_first_and_its_end_before_its_beginning() -> None:
    driven = Driven(cache(capacity=320, windows=(0, 0)))
    texts = [[i] * 97 for i in range(3)]
    for i in (0, 1, 2, 0):  # 9 of 10 pages, the first text used last
        slot = driven.start(texts[i], 100)
        driven.reuse(slot)
        driven.run(slot)
        driven.close(slot)
    slot = driven.start([9] * 90, 96)
    driven.run(slot)
    driven.close(slot)
    found = []
    for text in texts:
        slot = driven.start(text, 100)
        found.append(driven.reuse(slot))
        driven.kv.close(slot)
    assert found == [96, 32, 96]


def test_windowed_pages_kept_are_no_more_than_ever_ran() -> None:
    kv = cache(capacity=6400, sequences=8)
    driven = Driven(kv)
    slot = driven.start(TEXT * 5, 3300)
    driven.run(slot)
    ring = kv.layer(0).table.shape[1]
    used = {page for layer, page, _ in driven.held if layer == 0}
    assert len(used) <= 2 * ring + 1  # one more while a page is released


def test_nothing_is_left_of_texts_that_are_given_up() -> None:
    driven = Driven(cache(capacity=320))
    for i in range(40):
        slot = driven.start([i] * 200, 320, salt=str(i))
        driven.run(slot)
        driven.close(slot)
    salts = driven.kv._prefixes._root.children
    assert len(salts) <= 10
    assert all(block.children for block in salts.values())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(320, 900), st.integers(1, 5))
def test_random_sequences_always_see_their_own_text(seed: int, capacity: int, sequences: int) -> None:
    """Texts of few beginnings, steps of any size with wrong guesses, closed at any time, in scarce room."""
    rng = random.Random(seed)
    driven = Driven(cache(capacity // PAGE_TOKENS * PAGE_TOKENS, sequences))
    beginnings = [[i] * rng.randrange(200) for i in range(3)]
    for _ in range(60):
        text = [*rng.choice(beginnings), *rng.choice(beginnings), *rng.choice([[], [1, 2], [7] * 40]), 5]
        if rng.random() < 0.3 and (free := driven.kv.free_tokens()) >= len(text):
            driven.start(text, rng.randint(len(text), free), rng.choice(["", "", "x"]))
        for slot in list(driven.texts):
            if rng.random() < 0.5:
                driven.reuse(slot)
            left = len(driven.texts[slot]) - driven.computed[slot]
            if left == 0 or rng.random() < 0.02:
                driven.close(slot)
            elif rng.random() < 0.8:
                count = rng.randint(1, min(left, STEP))
                driven.step(slot, count, wrong=rng.randrange(count) if rng.random() < 0.3 else 0)
    for slot in list(driven.texts):
        driven.run(slot)
        driven.close(slot)
    assert driven.kv.free_tokens() == capacity // PAGE_TOKENS * PAGE_TOKENS
