"""What the engine promises to whoever submits a request."""

from __future__ import annotations

import gc
import math
import random
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from gemwright.engine.request import Event, Finished, Token
from gemwright.errors import ContextOverflow, NotFinite, UsageError
from gemwright.messages import Sampling
from gemwright.step import F32, Step
from support.toy_network import ToyCache, ToyNetwork, toy_logits
from unit.engine.driving import WILD, ending, engine, request, slow_answer, text, tokens


@pytest.mark.parametrize("step_tokens", [1, 3, 16, 400])
def test_an_answer_is_that_of_computing_everything_from_scratch(step_tokens: int) -> None:
    driven, network, cache = engine(step_tokens=step_tokens, max_sequences=1)
    penalised = Sampling(top_k=8, top_p=0.9, repetition_penalty=1.4, presence_penalty=0.5, logit_bias={3: 2.0})
    for one in (request([1, 2, 3]), request(list(range(40)), seed=9), request([7] * 20, sampling=penalised)):
        events = list(driven.submit(one))
        assert tokens(events) == slow_answer(network, one)
        assert ending(events).reason == "length"
    assert cache.free_tokens() == 512


def test_what_else_runs_never_changes_an_answer() -> None:
    rng = random.Random(4)
    requests = [
        request([rng.randrange(64) for _ in range(rng.randint(1, 60))], max_tokens=rng.randint(1, 25), seed=i)
        for i in range(12)
    ]
    expected = [slow_answer(ToyNetwork(), one) for one in requests]
    for step_tokens, max_sequences in [(4, 4), (7, 3), (64, 12), (512, 5)]:
        driven, _, cache = engine(step_tokens=step_tokens, max_sequences=max_sequences, capacity=4096)
        streams = [driven.submit(one) for one in requests]
        events: list[list[Event]] = [[] for _ in requests]
        while pending := [i for i in range(len(requests)) if not events[i] or not isinstance(events[i][-1], Finished)]:
            i = rng.choice(pending)
            events[i].append(next(streams[i]))
        assert [tokens(each) for each in events] == expected
        assert cache.free_tokens() == 4096


def test_streams_share_steps() -> None:
    driven, network, _ = engine(step_tokens=64, max_sequences=4)
    streams = [driven.submit(request([i], max_tokens=10, seed=i)) for i in range(4)]
    list(streams[0])
    assert len(network.steps) == 10
    assert all(len(step) == 4 for step in network.steps)
    for stream in streams[1:]:
        assert len(tokens(list(stream))) == 10
    assert len(network.steps) == 10, "the others found theirs ready"


def test_logits_are_computed_only_where_a_token_is_drawn() -> None:
    driven, network, _ = engine(step_tokens=8)
    list(driven.submit(request(list(range(50)), max_tokens=5)))
    assert network.rows_of_logits == 5


def test_a_mixed_step_computes_each_row_the_cheapest_way_and_draws_what_whole_rows_would() -> None:
    driven, network, _ = engine(step_tokens=64, max_sequences=4)
    kinds = [Sampling.greedy(), Sampling(top_k=5), Sampling(), WILD]
    requests = [request([i, 9], max_tokens=6, seed=i, sampling=kind) for i, kind in enumerate(kinds)]
    streams = [driven.submit(one) for one in requests]
    assert [tokens(list(stream)) for stream in streams] == [slow_answer(ToyNetwork(), one) for one in requests]
    assert (network.rows_of_candidates, network.rows_of_logits) == (18, 6)


def test_log_probabilities_take_whole_rows() -> None:
    driven, network, _ = engine()
    list(driven.submit(request([1], max_tokens=3, sampling=Sampling.greedy(), want_logprobs=True)))
    assert (network.rows_of_candidates, network.rows_of_logits) == (0, 3)


def test_a_long_prompt_never_keeps_a_running_answer_from_its_next_token() -> None:
    driven, network, _ = engine(step_tokens=64, capacity=1024, prompt_tokens=8)
    answer = driven.submit(request([1], max_tokens=20))
    next(answer)
    long = driven.submit(request(list(range(60)) * 4, max_tokens=2))
    for _ in range(19):
        next(answer)
        assert len(network.steps[-1]) == 1 + 8
    assert tokens(list(long)) == slow_answer(ToyNetwork(), request(list(range(60)) * 4, max_tokens=2))
    assert len(network.steps[20]) == 64, "alone it has the whole step"


def test_requests_without_room_wait_and_are_served_in_order() -> None:
    driven, _, cache = engine(capacity=128, max_sequences=4, step_tokens=64)
    streams = [driven.submit(request([i] * 30, max_tokens=30, seed=i)) for i in range(7)]
    next(streams[6])
    assert [job.id for job in driven.state.running][-1] == 6
    assert [len(tokens(list(stream))) for stream in streams[:6]] == [30] * 6
    assert len(tokens(list(streams[6]))) == 29
    assert cache.free_tokens() == 128
    assert cache.opened == 7


def test_room_is_counted_in_the_pages_the_cache_gives_out() -> None:
    driven, _, _ = engine(capacity=128, max_sequences=4)
    streams = [driven.submit(request([i] * 23, max_tokens=10, seed=i)) for i in range(4)]  # 33 tokens, so 2 pages
    driven.step()
    assert len(driven.state.running) == 2
    assert [len(tokens(list(stream))) for stream in streams] == [10] * 4


def test_an_end_token_ends_the_answer_and_is_no_part_of_it() -> None:
    driven, network, _ = engine()
    whole = slow_answer(network, request([1, 2], max_tokens=20))
    one = request([1, 2], max_tokens=20, stop_ids=frozenset({whole[6]}))
    events = list(driven.submit(one))
    assert tokens(events) == whole[: whole.index(whole[6])]
    assert ending(events).reason == "stop"
    assert ending(events).answer_tokens == len(tokens(events))


def test_a_stop_string_ends_the_answer_and_is_not_shown() -> None:
    driven, _, _ = engine()
    whole = text(list(driven.submit(request([1, 2], max_tokens=20))))
    stop = whole[7:10]
    events = list(driven.submit(request([1, 2], max_tokens=20, sampling=Sampling(top_k=0, top_p=1.0, stop=(stop,)))))
    assert text(events) == whole[: whole.index(stop)]
    assert ending(events).reason == "stop"


def test_stop_strings_of_the_prompts_form_count_beside_the_users() -> None:
    driven, _, _ = engine()
    whole = text(list(driven.submit(request([1, 2], max_tokens=20))))
    both = Sampling(top_k=0, top_p=1.0, stop=("\x00",))
    events = list(driven.submit(request([1, 2], max_tokens=20, sampling=both, stop=(whole[5:8],))))
    assert text(events) == whole[: whole.index(whole[5:8])]


def test_what_was_held_back_for_a_stop_string_comes_with_the_end() -> None:
    driven, _, _ = engine()
    whole = text(list(driven.submit(request([1, 2], max_tokens=6))))
    never = Sampling(top_k=0, top_p=1.0, stop=(whole[-2:] + "\x00",))
    events = list(driven.submit(request([1, 2], max_tokens=6, sampling=never)))
    assert text(events) == whole
    assert ending(events).text == whole[-2:]


def test_log_probabilities_are_those_of_the_network() -> None:
    driven, network, _ = engine()
    events = list(driven.submit(request([4, 5], max_tokens=4, want_logprobs=True)))
    context = [4, 5]
    for event in events[:-1]:
        assert isinstance(event, Token)
        row = toy_logits(network, context).astype(np.float64)
        assert event.logprob == pytest.approx(row[event.id] - math.log(np.exp(row).sum()), abs=1e-4)
        context.append(event.id)


def test_the_figures_count_from_the_start_of_the_prompt_to_the_first_and_the_last_token() -> None:
    driven, _, _ = engine(step_tokens=4, max_sequences=1)
    ticks = iter(range(1000))
    driven._clock = lambda: float(next(ticks))
    end = ending(list(driven.submit(request([1] * 10, max_tokens=5))))
    assert (end.prompt_tokens, end.answer_tokens) == (10, 5)
    assert (end.prefill_s, end.decode_s) == (1.0, 4.0)


@pytest.mark.parametrize(
    ("bad", "kind", "says"),
    [
        (request([]), UsageError, "no tokens"),
        (request([1, 64]), UsageError, "64 is not a token.*0 to 63"),
        (request([-1]), UsageError, "-1 is not a token"),
        (request([1], max_tokens=0), UsageError, "max_tokens is 0"),
        (request([1], max_tokens=2.5), UsageError, "max_tokens is 2.5"),
        (request([1], sampling=Sampling(logit_bias={64: 1.0})), UsageError, "token 64"),
        (request([1] * 250, max_tokens=7), ContextOverflow, "250 tokens.*up to 7.*256.*at most 6"),
        (request([1] * 300, max_tokens=7), ContextOverflow, "300 tokens.*256.*Shorten.*context_tokens up to 512"),
    ],
)
def test_what_cannot_be_run_is_refused_at_once_with_the_numbers(bad: object, kind: type[Exception], says: str) -> None:
    driven, _, cache = engine(context=512, capacity=256)
    with pytest.raises(kind, match=says):
        driven.submit(bad)  # type: ignore[arg-type]
    assert not driven.state.waiting
    assert cache.free_tokens() == 256


def test_a_request_that_fills_the_context_exactly_runs() -> None:
    driven, _, _ = engine(context=512, capacity=512)
    assert ending(list(driven.submit(request([1] * 500, max_tokens=12)))).answer_tokens == 12


class _Broken(ToyNetwork):
    """Gives NaN for contexts that begin with token 13."""

    def logits(self, hidden: F32) -> F32:
        rows = super().logits(hidden)
        for i in range(len(hidden)):
            if np.array_equal(hidden[i], self._bad):
                rows[i, 3] = np.nan
        return rows

    _bad: F32 = np.empty(0, np.float32)

    def forward(self, step: Step, cache: ToyCache, rows: Sequence[int] | None = None) -> F32:
        hidden = super().forward(step, cache)
        if 13 in step.tokens:
            self._bad = hidden[list(step.tokens).index(13)]
        return hidden[slice(None) if rows is None else list(rows)]


@pytest.mark.parametrize("sampling", [WILD, Sampling(), Sampling.greedy()])
def test_logits_that_are_no_numbers_fail_their_own_request_only(sampling: Sampling) -> None:
    driven, _, cache = engine(network=_Broken())
    good, bad = driven.submit(request([1], max_tokens=6)), driven.submit(request([13], sampling=sampling))
    assert len(tokens(list(good))) == 6
    with pytest.raises(NotFinite, match="nan"):
        next(bad)
    with pytest.raises(StopIteration):
        next(bad)
    assert cache.free_tokens() == 512


def test_closing_leaving_or_dropping_a_stream_frees_its_cache() -> None:
    driven, _, cache = engine(capacity=512, max_sequences=4)
    with driven.submit(request([1])) as left:
        next(left)
    dropped, closed, never_started = (driven.submit(request([i], seed=i)) for i in range(3))
    next(dropped)
    next(closed)
    assert cache.free_tokens() < 512
    closed.close()
    closed.close()
    del dropped, never_started
    gc.collect()
    assert not driven.state.running
    assert not driven.state.waiting
    assert driven.state.free_tokens == 512
    assert not driven.step()
    assert cache.free_tokens() == 512
    assert list(closed) == []


def test_a_stream_closed_while_it_waits_never_runs() -> None:
    driven, _, cache = engine(capacity=64, max_sequences=1)
    first, second = driven.submit(request([1])), driven.submit(request([2]))
    second.close()
    list(first)
    assert cache.opened == 1


def test_another_thread_can_close_a_stream_during_a_step_without_waiting() -> None:
    inside, go_on = threading.Event(), threading.Event()

    class Slow(ToyNetwork):
        def forward(self, step: Step, cache: ToyCache, rows: Sequence[int] | None = None) -> F32:
            inside.set()
            assert go_on.wait(10)
            return super().forward(step, cache, rows)

    driven, _, cache = engine(network=Slow())
    mine, other = driven.submit(request([1])), driven.submit(request([2]))
    got: list[list[Event]] = []
    puller = threading.Thread(target=lambda: got.append(list(mine)))
    puller.start()
    assert inside.wait(10)
    mine.close()
    assert [job.id for job in driven.state.running] == [1]
    go_on.set()
    puller.join(10)
    assert not puller.is_alive()
    assert tokens(list(other)) == slow_answer(ToyNetwork(), request([2]))
    assert cache.free_tokens() == 512


def test_many_threads_get_the_answers_they_would_get_alone() -> None:
    driven, _, cache = engine(capacity=512, step_tokens=8, max_sequences=4)
    requests = [request([i, i + 1], max_tokens=20, seed=i) for i in range(16)]
    got: dict[int, list[int]] = {}

    def pull(i: int) -> None:
        got[i] = tokens(list(driven.submit(requests[i])))

    threads = [threading.Thread(target=pull, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [got[i] for i in range(16)] == [slow_answer(ToyNetwork(), one) for one in requests]
    assert cache.free_tokens() == 512


def test_step_says_whether_there_was_work() -> None:
    driven, _, _ = engine()
    assert not driven.step()
    with driven.submit(request([1], max_tokens=2)):
        assert [driven.step(), driven.step(), driven.step()] == [True, True, False]
