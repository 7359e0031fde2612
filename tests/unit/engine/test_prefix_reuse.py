"""Requests that begin alike compute the beginning once, and answer as if each were alone."""

from __future__ import annotations

import random

import pytest

from gemwright.engine.request import Event, Finished, Request
from gemwright.errors import NotFinite
from gemwright.step import F32
from support.guessing import Guessing
from support.toy_network import ToyNetwork
from unit.engine.driving import ending, engine, request, slow_answer, tokens

PROMPT = [3 * i % 61 for i in range(300)]


def computed(network: ToyNetwork) -> int:
    return sum(len(step) for step in network.steps)


def test_the_next_turn_computes_only_what_is_new() -> None:
    driven, network, cache = engine(step_tokens=64)
    first = request(PROMPT, max_tokens=40)
    answer = tokens(list(driven.submit(first)))
    before = computed(network)
    second = request([*PROMPT, *answer, 5, 6, 7], max_tokens=8)
    events = list(driven.submit(second))
    assert tokens(events) == slow_answer(ToyNetwork(), second)
    assert ending(events).prompt_tokens == 343
    assert ending(events).cached_tokens == 320
    assert computed(network) - before == 343 - 320 + 7
    assert cache.free_tokens() == 512


@pytest.mark.parametrize("max_tokens", [1, 2, 5])
def test_an_answer_that_ends_with_its_prompt_still_leaves_it_behind(max_tokens: int) -> None:
    driven, _, _ = engine(step_tokens=512)
    list(driven.submit(request(PROMPT, max_tokens=max_tokens)))
    assert ending(list(driven.submit(request(PROMPT, max_tokens=1)))).cached_tokens == 288


def test_a_request_shares_what_another_is_still_computing() -> None:
    driven, network, _ = engine(step_tokens=64, capacity=1024)
    requests = [request(PROMPT, max_tokens=5, seed=seed) for seed in range(2)]
    streams = [driven.submit(one) for one in requests]
    assert [tokens(list(stream)) for stream in streams] == [slow_answer(ToyNetwork(), one) for one in requests]
    assert computed(network) < 300 + 80


def test_requests_with_other_salts_share_nothing() -> None:
    driven, _, _ = engine(step_tokens=64)
    list(driven.submit(request(PROMPT, max_tokens=2, cache_salt="one")))
    for salt, found in [("two", 0), ("", 0), ("one", 288)]:
        assert ending(list(driven.submit(request(PROMPT, max_tokens=2, cache_salt=salt)))).cached_tokens == found


def test_switched_off_nothing_is_shared() -> None:
    driven, _, cache = engine(step_tokens=64, prefix_cache=False)
    for _ in range(2):
        assert ending(list(driven.submit(request(PROMPT, max_tokens=2)))).cached_tokens == 0
    assert not cache.kept


def test_a_cancelled_answer_leaves_its_beginning_and_counts_what_it_took_over() -> None:
    driven, _, _ = engine(step_tokens=64)
    stream = driven.submit(request(PROMPT, max_tokens=50))
    next(stream)
    stream.close()
    again = driven.submit(request(PROMPT, max_tokens=50))
    next(again)
    again.close()
    assert again.cancelled().cached_tokens == 288


def test_an_answer_that_failed_leaves_nothing_wrong_behind() -> None:
    class Broken(ToyNetwork):
        broken = True

        def logits(self, hidden: F32) -> F32:
            rows = super().logits(hidden)
            return rows * float("nan") if self.broken else rows

    network = Broken()
    driven, _, _ = engine(network=network, step_tokens=64)
    with pytest.raises(NotFinite):
        next(driven.submit(request(PROMPT)))
    network.broken = False
    one = request(PROMPT)
    assert tokens(list(driven.submit(one))) == slow_answer(ToyNetwork(), one)


@pytest.mark.parametrize("seed", range(4))
def test_what_was_computed_before_or_beside_never_changes_an_answer(seed: int) -> None:
    rng = random.Random(seed)
    driven, _, cache = engine(step_tokens=rng.choice([5, 40, 512]), max_sequences=4, capacity=1024)
    requests: list[Request] = []
    for i in range(16):
        prompt = [*PROMPT[: rng.randrange(250)], *([i] * rng.randint(1, 40))]
        one = request(prompt, max_tokens=rng.randint(1, 40), seed=i, cache_salt=rng.choice(["", "", "x"]))
        whole = (*one.prompt, *slow_answer(ToyNetwork(), one))
        guessed = request(prompt, max_tokens=one.max_tokens, seed=i, speculation=Guessing(whole, 0.4))
        requests.append(guessed if rng.random() < 0.5 else one)
    streams = [driven.submit(one) for one in requests]
    events: list[list[Event]] = [[] for _ in requests]
    while pending := [i for i in range(16) if not events[i] or not isinstance(events[i][-1], Finished)]:
        i = rng.choice(pending)
        events[i].append(next(streams[i]))
    assert [tokens(each) for each in events] == [slow_answer(ToyNetwork(), one) for one in requests]
    assert sum(ending(each).cached_tokens for each in events) > 0
    assert cache.free_tokens() == 1024
