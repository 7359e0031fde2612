"""Guessing ahead never changes an answer, whatever is guessed, and saves steps when it is right."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from gemwright.engine.draft_model import DraftModel
from gemwright.engine.lookup import Lookup
from gemwright.engine.request import Event, Finished, Request
from gemwright.errors import UsageError
from gemwright.messages import Sampling
from support.guessing import Guessing
from support.toy_network import ToyConfig, ToyDetokenizer, ToyNetwork
from unit.engine.driving import ending, engine, request, slow_answer, text, tokens

SAMPLINGS = [
    Sampling.greedy(),
    Sampling(),
    Sampling(top_k=0, top_p=1.0),
    Sampling(top_k=8, repetition_penalty=1.4, presence_penalty=0.5, frequency_penalty=0.3),
]


def guessed(one: Request, wrong: float = 0.0, guesses: int = 5, seed: int = 0) -> Request:
    """The request with a drafter that knows its answer."""
    whole = (*one.prompt, *slow_answer(ToyNetwork(), replace(one, stop_ids=frozenset())))
    return replace(one, speculation=Guessing(whole, wrong, guesses, seed))


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("wrong", [0.0, 0.3, 1.0])
def test_the_answer_is_that_of_no_guesses(sampling: Sampling, wrong: float) -> None:
    driven, network, cache = engine()
    one = request([1, 2, 3], max_tokens=30, sampling=sampling)
    events = list(driven.submit(guessed(one, wrong)))
    assert tokens(events) == slow_answer(network, one)
    end = ending(events)
    assert end.answer_tokens == 30
    assert len(network.steps) == 30 - end.accepted_tokens
    assert (end.accepted_tokens == end.drafted_tokens) == (wrong == 0.0)
    assert (end.accepted_tokens == 0) == (wrong == 1.0)
    assert cache.free_tokens() == 512


def test_right_guesses_save_their_steps() -> None:
    driven, network, _ = engine()
    events = list(driven.submit(guessed(request([1], max_tokens=13))))
    assert len(network.steps) == 1 + 2  # the prompt, and twice a token with five guesses
    assert (ending(events).drafted_tokens, ending(events).accepted_tokens) == (10, 10)


def test_nothing_is_guessed_while_many_answers_run() -> None:
    driven, network, _ = engine(step_tokens=64, max_guessing=2)
    lengths = (4, 20, 20)
    streams = [driven.submit(guessed(request([i], max_tokens=n, seed=i))) for i, n in enumerate(lengths)]
    ends = [ending(list(stream)) for stream in streams]
    assert [end.answer_tokens for end in ends] == [4, 20, 20]
    assert [len(step) for step in network.steps[:4]] == [3, 3, 3, 3]
    assert len(network.steps[4]) == 2 * 6
    assert ends[0].drafted_tokens == 0


@pytest.mark.parametrize("max_tokens", range(1, 15))
def test_nothing_is_computed_beyond_the_longest_answer(max_tokens: int) -> None:
    driven, network, _ = engine()
    one = request([1, 2], max_tokens=max_tokens)
    whole = (1, 2, *slow_answer(ToyNetwork(), request([1, 2], max_tokens=20)))
    events = list(driven.submit(replace(one, speculation=Guessing(whole))))
    assert tokens(events) == list(whole[2 : 2 + max_tokens])
    assert ending(events).reason == "length"
    assert max(int(step.positions.max()) for step in network.steps) <= 2 + max_tokens - 2


def test_what_else_runs_and_guesses_never_changes_an_answer() -> None:
    rng = random.Random(4)
    requests = [
        request(
            [rng.randrange(64) for _ in range(rng.randint(1, 60))],
            max_tokens=rng.randint(1, 25),
            seed=i,
            sampling=rng.choice(SAMPLINGS),
        )
        for i in range(12)
    ]
    expected = [slow_answer(ToyNetwork(), one) for one in requests]
    kinds = [lambda one: guessed(one, 0.3, 7), lambda one: replace(one, speculation=Lookup(ngram=1)), lambda one: one]
    for step_tokens, max_sequences in [(4, 4), (7, 3), (64, 12), (512, 5)]:
        driven, _, cache = engine(step_tokens=step_tokens, max_sequences=max_sequences, capacity=4096)
        streams = [driven.submit(rng.choice(kinds)(one)) for one in requests]
        events: list[list[Event]] = [[] for _ in requests]
        while pending := [i for i in range(len(requests)) if not events[i] or not isinstance(events[i][-1], Finished)]:
            i = rng.choice(pending)
            events[i].append(next(streams[i]))
        assert [tokens(each) for each in events] == expected
        assert cache.free_tokens() == 4096


@pytest.mark.parametrize("at", range(1, 12))
def test_an_end_token_within_a_draft_ends_the_answer(at: int) -> None:
    driven, network, _ = engine()
    whole = slow_answer(network, request([1, 2], max_tokens=20))
    one = request([1, 2], max_tokens=20, stop_ids=frozenset({whole[at]}))
    events = list(driven.submit(replace(one, speculation=Guessing((1, 2, *whole)))))
    assert tokens(events) == whole[: whole.index(whole[at])]
    assert ending(events).reason == "stop"


@pytest.mark.parametrize("at", range(1, 12))
def test_a_stop_string_within_a_draft_ends_the_answer(at: int) -> None:
    driven, network, _ = engine()
    whole = slow_answer(network, request([1, 2], max_tokens=20))
    letters = "".join(chr(97 + token % 26) for token in whole)
    one = request([1, 2], max_tokens=20, stop=(letters[at : at + 3],))
    plain = list(driven.submit(one))
    events = list(driven.submit(replace(one, speculation=Guessing((1, 2, *whole)))))
    assert text(events) == text(plain) == letters[: letters.index(letters[at : at + 3])]
    assert tokens(events) == tokens(plain)
    assert ending(events).reason == "stop"


def test_log_probabilities_are_the_same() -> None:
    driven, _, _ = engine()
    one = request([4, 5], max_tokens=15, want_logprobs=True)
    assert list(driven.submit(guessed(one, 0.3)))[:-1] == list(driven.submit(one))[:-1]


def test_a_stream_closed_within_a_draft_frees_its_cache_and_counts_what_was_read() -> None:
    driven, _, cache = engine()
    stream = driven.submit(guessed(request([1], max_tokens=20)))
    read = [next(stream), next(stream), next(stream)]
    stream.close()
    assert not driven.step()
    assert cache.free_tokens() == 512
    assert stream.cancelled().answer_tokens == len(read)


class _EvenOnly:
    """Allows even tokens, and after every third token of the answer only multiples of eight."""

    def allowed(self, answer: Sequence[int], /) -> npt.NDArray[np.bool_]:
        return np.arange(64) % (8 if len(answer) % 4 == 3 else 2) == 0


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("wrong", [0.0, 0.4])
def test_a_mask_limits_guesses_and_draws_alike(sampling: Sampling, wrong: float) -> None:
    driven, _, _ = engine()
    one = request([1, 2, 3], max_tokens=24, sampling=sampling, mask=_EvenOnly())
    plain = list(driven.submit(one))
    answer = tokens(plain)
    assert all(_EvenOnly().allowed(answer[:i])[token] for i, token in enumerate(answer))
    events = list(driven.submit(replace(one, speculation=Guessing((1, 2, 3, *answer), wrong, 6))))
    assert events[:-1] == plain[:-1]
    assert ending(events).accepted_tokens > 8
    if wrong:  # a wrong guess is odd here, so the draft was cut before it
        assert ending(events).drafted_tokens == ending(events).accepted_tokens


class _Listed:
    """Allows all but some ids, the same for every token."""

    def __init__(self, ids: frozenset[int]) -> None:
        self._ids = ids

    def allowed(self, answer: Sequence[int], /) -> npt.NDArray[np.bool_]:
        return np.array([id not in self._ids for id in range(64)])


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_suppressed_tokens_are_never_drawn_or_guessed(sampling: Sampling) -> None:
    """As if a mask forbade them, though few candidates may be all that is looked at."""
    driven, _, _ = engine()
    one = request([1, 2, 3], max_tokens=24, sampling=sampling)
    never = frozenset(tokens(list(driven.submit(one)))[::2])
    expected = list(driven.submit(replace(one, mask=_Listed(never))))
    assert not never & {*tokens(expected)}
    suppressing = replace(one, suppressed_ids=never)
    assert tokens(list(driven.submit(suppressing))) == tokens(expected)
    guessing = replace(suppressing, speculation=Guessing((1, 2, 3, *tokens(expected)), 0.4, 6))
    assert tokens(list(driven.submit(guessing))) == tokens(expected)
    odd = replace(suppressing, mask=_EvenOnly())
    assert not (never | set(range(1, 64, 2))) & {*tokens(list(driven.submit(odd)))}


def test_a_mask_that_allows_nothing_fails_its_request() -> None:
    class Nothing:
        def allowed(self, answer: Sequence[int], /) -> npt.NDArray[np.bool_]:
            return np.zeros(64, np.bool_)

    driven, _, _ = engine()
    with pytest.raises(UsageError, match="allows no token"):
        next(driven.submit(request([1], mask=Nothing())))


def test_guesses_that_are_no_tokens_are_left_out() -> None:
    driven, network, _ = engine()
    one = request([1], max_tokens=9)
    answer = slow_answer(network, one)
    nonsense = (1, *answer[:3], 64, *answer[4:6], -1, *answer[7:])
    events = list(driven.submit(replace(one, speculation=_Blind(nonsense))))
    assert tokens(events) == answer


class _Blind(Guessing):
    """Does not notice that what came is not what it said."""

    def drafter(self, room: int) -> _Blind:  # type: ignore[override]
        return self

    def propose(self, tokens: Sequence[int], limit: int) -> Sequence[int]:
        return self.text[len(tokens) : len(tokens) + limit]


@pytest.mark.parametrize("sampling", SAMPLINGS[:2])
def test_a_smaller_model_guesses_and_keeps_up(sampling: Sampling) -> None:
    """The toy drafts for itself: greedy answers are guessed in full, sampled ones now and then."""
    driven, network, _ = engine(step_tokens=64)
    small = ToyNetwork(ToyConfig())
    one = request(list(range(30)), max_tokens=40, sampling=sampling)
    events = list(driven.submit(replace(one, speculation=DraftModel(small, tokens=4))))
    assert tokens(events) == slow_answer(ToyNetwork(), one)
    end = ending(events)
    if sampling.temperature == 0:
        assert end.accepted_tokens == end.drafted_tokens
        assert len(network.steps) <= 10
        assert sum(len(step) for step in small.steps) < 30 + 2 * 40, "the prompt is computed once"


def test_a_smaller_model_with_less_context_or_vocabulary_guesses_while_it_can() -> None:
    one = request([9] * 20, max_tokens=40, sampling=Sampling.greedy())
    for config in (ToyConfig(context_tokens=32), ToyConfig(vocabulary=16)):
        driven, _, _ = engine()
        events = list(driven.submit(replace(one, speculation=DraftModel(ToyNetwork(config)))))
        assert tokens(events) == slow_answer(ToyNetwork(), one)


def test_text_that_repeats_itself_is_looked_up() -> None:
    drafter = Lookup(tokens=6, ngram=2).drafter(100)
    assert drafter.propose([1, 2, 3, 4, 5, 6, 7, 1, 2], 10) == [3, 4, 5, 6]
    assert drafter.propose([1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4, 5, 6, 7], 2) == [1, 2]


def test_the_place_most_alike_is_taken_and_of_equal_ones_the_latest() -> None:
    assert Lookup(ngram=2).drafter(100).propose([9, 1, 2, 3, 8, 1, 2, 4, 9, 1, 2], 1) == [3]
    assert Lookup(ngram=2).drafter(100).propose([9, 1, 2, 3, 9, 1, 2, 4, 9, 1, 2], 1) == [4]


def test_a_short_period_is_continued_beyond_the_end() -> None:
    assert Lookup(ngram=2).drafter(100).propose([5, 1, 2, 1, 2], 9) == [1, 2, 1, 2]


def test_text_without_repetition_is_never_guessed() -> None:
    drafter = Lookup().drafter(100)
    assert [drafter.propose(range(n), 9) for n in range(1, 80)] == [()] * 79


def test_guesses_that_fail_become_short_and_rare_and_ones_that_succeed_long() -> None:
    drafter = Lookup(tokens=16, ngram=1).drafter(1000)
    text: list[int] = [0]
    wrong = 0
    for i in range(1, 400):  # the same token again and again, never followed by what followed it before
        text += [1000 + i, 0]
        wrong += len(drafter.propose(text, 99))
    assert 4 < wrong < 4 + 0.1 * len(text) + 1
    for _ in range(200):
        text += [1, 2, 3, 4, *drafter.propose([*text, 1, 2, 3, 4], 99)]
    assert len(drafter.propose([*text, 1, 2, 3, 4], 99)) == 16


@pytest.mark.parametrize("bad", [{"tokens": 0}, {"tokens": 65}, {"ngram": 0}, {"tokens": 2.5}])
def test_a_lookup_that_cannot_be_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="of a lookup is"):
        Lookup(**bad)  # type: ignore[arg-type]


def test_a_detokenizer_sees_every_token_once_and_in_order() -> None:
    fed: list[int] = []

    class Watching(ToyDetokenizer):
        def feed(self, token: int, /) -> str:
            fed.append(token)
            return super().feed(token)

    driven, _, _ = engine()
    driven._detokenizer = Watching
    events = list(driven.submit(guessed(request([1], max_tokens=20), 0.3)))
    assert fed == tokens(events)
