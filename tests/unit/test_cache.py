"""The cache hands out pages, takes them back, and never promises room it does not have."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemwright.cache import KVCache, LayerShape, pages_for
from gemwright.errors import CapacityError


def cache(capacity: int = 320, window: int = 40, step: int = 16, sequences: int = 4) -> KVCache:
    return KVCache(
        [LayerShape(window, 1, 8), LayerShape(0, 1, 8)],
        capacity_tokens=capacity,
        max_step_tokens=step,
        max_sequences=sequences,
    )


def owned(kv: KVCache, layer: int, slot: int) -> list[int]:
    return [int(page) for page in kv.layer(layer).table[slot] if page >= 0]


def test_a_sequence_gets_a_page_for_every_32_tokens_of_a_global_layer():
    kv = cache()
    assert [len(owned(kv, 1, kv.open(n))) for n in (1, 32, 33)] == [1, 1, 2]


def test_a_windowed_layer_takes_no_more_than_a_ring():
    kv = cache(capacity=3200)
    slot = kv.open(3200)
    assert len(owned(kv, 0, slot)) == pages_for(40 - 1 + 16) + 1
    assert len(owned(kv, 1, slot)) == 100


def test_what_is_free_can_be_opened_and_no_more():
    kv = cache()
    kv.open(100)
    room = kv.free_tokens()
    with pytest.raises(CapacityError, match=f"room for a sequence of {room} tokens"):
        kv.open(room + 1)
    kv.open(room)
    assert kv.free_tokens() == 0


def test_no_slot_means_no_room():
    kv = cache(sequences=1)
    slot = kv.open(1)
    assert kv.free_tokens() == 0
    kv.close(slot)
    assert kv.free_tokens() == 320


def test_closing_twice_is_refused():
    kv = cache()
    slot = kv.open(10)
    kv.close(slot)
    with pytest.raises(ValueError, match="not open"):
        kv.close(slot)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 400)), max_size=60))
def test_pages_are_never_shared_and_never_lost(moves):
    kv = cache()
    live: list[int] = []
    for opens, n in moves:
        if opens and n <= kv.free_tokens():
            live.append(kv.open(n))
        elif not opens and live:
            kv.close(live.pop(n % len(live)))
        for layer in (0, 1):
            pages = [page for slot in live for page in owned(kv, layer, slot)]
            assert len(pages) == len(set(pages))
    for slot in live:
        kv.close(slot)
    assert kv.free_tokens() == 320


def test_an_unused_cache_takes_no_memory():
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE

    before = resident()
    kv = KVCache([LayerShape(0, 1, 256)] * 8, capacity_tokens=65_536, max_step_tokens=512, max_sequences=4)
    assert kv.nbytes > 500 << 20
    assert resident() - before < 8 << 20
