"""What ends an answer that is none any more, and what must not."""

from __future__ import annotations

from itertools import count, islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemwright.engine.degeneration import LONGEST_BLOCK, LOOP_REPEATS, LOOP_TOKENS, RESERVED_TOKENS, Guard


def ends_at(tokens: list[int], reserved: frozenset[int] = frozenset()) -> int | None:
    """How many tokens the answer had when it was ended."""
    guard = Guard(reserved)
    return next((number for number, token in enumerate(tokens, 1) if guard.degenerate(token)), None)


def matched(tokens: list[int], block: int) -> int:
    """At the end of `tokens`, how many are the same as the one a block before."""
    same = 0
    while same < len(tokens) - block and tokens[-1 - same] == tokens[-1 - same - block]:
        same += 1
    return same


@pytest.mark.parametrize("block", [1, 2, 3, 7, 50, 255, 256, 300, LONGEST_BLOCK])
@pytest.mark.parametrize("before", [0, 1, 10, 2000])
def test_a_block_that_comes_again_and_again_ends_the_answer(block: int, before: int) -> None:
    prelude = list(range(10_000, 10_000 + before))
    tokens = prelude + list(range(block)) * (5 * LOOP_TOKENS // block + LOOP_REPEATS + 2)
    ended = ends_at(tokens)
    wanted = max(LOOP_TOKENS, LOOP_REPEATS * block)
    assert ended is not None
    assert wanted + block <= ended - before <= wanted + block + 4


def test_a_block_that_is_too_long_to_be_looked_for_is_left_alone() -> None:
    assert ends_at(list(range(LONGEST_BLOCK + 1)) * 20) is None


@pytest.mark.parametrize(
    "tokens",
    [
        [5] * LOOP_TOKENS,  # a long run of spaces, a rule, zeros
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] * 100,  # a table of a hundred equal rows
        list(range(300)) * LOOP_REPEATS,  # a song with its refrain
        [token for number in range(3000) for token in (*map(int, str(number)), 100, 101)],  # 1, 2, 3, …
        [token for row in range(500) for token in (7, row, 7, 7, 7, 7, 7, 7, 9)],  # a table of nearly equal rows
        list(islice((n * n % 97 for n in count()), 90)) * 10,
    ],
)
def test_repetition_that_people_ask_for_is_left_alone(tokens: list[int]) -> None:
    assert ends_at(tokens) is None


def test_a_loop_is_seen_after_another_one() -> None:
    tokens = [1, 2] * 400 + [1, 2, 3] * 1000
    ended = ends_at(tokens)
    assert ended is not None
    assert ended <= 800 + 3 + 2 * LOOP_TOKENS


@given(st.lists(st.integers(0, 3), max_size=20), st.lists(st.integers(0, 3), min_size=1, max_size=9), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_nothing_is_ended_that_does_not_repeat(before: list[int], block: list[int], odd: int) -> None:
    """And every endless loop is, at most one threshold late."""
    tokens = [*before, *block * 20, odd, *block * (3 * LOOP_TOKENS // len(block))]
    ended = ends_at(tokens)
    assert ended is not None
    assert ended <= len(before) + 21 * len(block) + 1 + 2 * LOOP_TOKENS + 8
    assert any(matched(tokens[:ended], size) >= LOOP_TOKENS for size in range(1, 10 * len(block) + 40))


def test_a_storm_of_reserved_tokens_ends_the_answer() -> None:
    reserved = frozenset({1, 2})
    assert ends_at([5, 1, 2, 1, 2, 1, 1, 2, 2, 2], reserved) == 1 + RESERVED_TOKENS
    assert ends_at([1] * (RESERVED_TOKENS - 1) + [5] + [1] * (RESERVED_TOKENS - 1), reserved) is None
    assert ends_at([1] * 100) is None


def test_memory_stays_the_same_however_long_the_answer() -> None:
    guard = Guard(frozenset())
    for token in range(20_000):
        guard.degenerate(token)
    assert len(guard._latest) <= LONGEST_BLOCK + 8
    assert len(guard._ring) <= LONGEST_BLOCK + 8
