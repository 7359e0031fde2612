"""The real Gemma 3 270M: one seed gives one answer, however tokens are grouped and however many threads run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from gemwright import ops
from gemwright.engine.draft_model import DraftModel
from gemwright.engine.engine import Engine
from gemwright.engine.lookup import Lookup
from gemwright.engine.request import Finished, Request, Token
from gemwright.messages import Sampling
from gemwright.model import Facts, Model
from gemwright.step import Step
from gemwright.text.chat import TRANSCRIPT
from gemwright.text.detokenizer import Detokenizer
from gemwright.text.tokenizer import Tokenizer
from support.guessing import Guessing
from support.real_model import TEXTS, checkpoint, network

pytestmark = pytest.mark.real
PENALISED = Sampling(top_k=0, top_p=0.98, repetition_penalty=1.1, frequency_penalty=0.2)


@lru_cache(maxsize=1)
def tokenizer() -> Tokenizer:
    return Tokenizer.from_checkpoint(checkpoint())


@lru_cache(maxsize=1)
def requests() -> tuple[Request, ...]:
    """Prompts from 3 to more than 550 tokens, each with a seed; one of them is sampled with all that penalises."""
    text = (TEXTS / "english.txt").read_text("utf-8")
    prompts = ["Once upon", text[:400], text[:2900], "1, 2, 3, 4,", "def main():\n"]
    return tuple(
        Request(tuple(tokenizer().encode(prompt)), 24, seed, PENALISED if seed == 3 else Sampling())
        for seed, prompt in enumerate(prompts)
    )


@lru_cache(maxsize=1)
def alone() -> list[list[int]]:
    """Each request by itself, its prompt in one step, on two threads."""
    ops.set_threads(2)
    return [answers(1024, [request])[0] for request in requests()]


def engine(step_tokens: int, *, prefix_cache: bool) -> Engine:
    net = network("default")
    return Engine(
        net,
        net.new_cache(capacity_tokens=8192, max_step_tokens=step_tokens, max_sequences=8),
        lambda stop: Detokenizer(tokenizer(), stop),
        vocabulary=tokenizer().vocabulary_size,
        step_tokens=step_tokens,
        max_sequences=8,
        max_guessing=8,
        prefix_cache=prefix_cache,
    )


def answers(step_tokens: int, together: list[Request]) -> list[list[int]]:
    driven = engine(step_tokens, prefix_cache=False)
    streams = [driven.submit(request) for request in together]
    return [[event.id for event in stream if isinstance(event, Token)] for stream in streams]


@pytest.fixture(autouse=True)
def _threads_as_they_were() -> Iterator[None]:
    threads = ops.threads()
    yield
    ops.set_threads(threads)


def test_the_prompts_are_what_they_are_meant_to_be() -> None:
    lengths = [len(request.prompt) for request in requests()]
    assert min(lengths) < 8
    assert max(lengths) > 550, "one must be longer than the window of 512"
    assert len({tuple(answer) for answer in alone()}) == len(requests())


@pytest.mark.parametrize(("threads", "step_tokens"), [(1, 512), (2, 100), (3, 8)])
def test_a_mixed_batch_in_chunks_gives_the_answers_of_each_alone(threads: int, step_tokens: int) -> None:
    ops.set_threads(threads)
    assert answers(step_tokens, list(requests())) == alone()


@pytest.mark.parametrize(("threads", "step_tokens"), [(2, 600), (1, 32)])
def test_guessing_ahead_gives_the_answers_of_each_alone(threads: int, step_tokens: int) -> None:
    """Wrong guesses beyond the window of 512 leave the rings as they were found."""
    known = [(*one.prompt, *answer) for one, answer in zip(requests(), alone(), strict=True)]
    kinds = [Lookup(ngram=1), Guessing(known[1], 0.4), Guessing(known[2], 0.3, 12), Lookup(), Guessing(known[4], 0.5)]
    guessed = [replace(one, speculation=kind) for one, kind in zip(requests(), kinds, strict=True)]
    ops.set_threads(threads)
    assert answers(step_tokens, guessed) == alone()


@pytest.mark.parametrize("sampling", [Sampling.greedy(), Sampling(temperature=0.5)])
def test_a_model_that_drafts_for_itself_changes_nothing(sampling: Sampling) -> None:
    one = Request(tuple(tokenizer().encode((TEXTS / "english.txt").read_text("utf-8")[:2600])), 40, 1, sampling)
    drafted = replace(one, speculation=DraftModel(network("default"), tokens=6))
    assert answers(512, [drafted]) == answers(512, [one])


@lru_cache(maxsize=1)
def long_prompt() -> tuple[int, ...]:
    """More than two windows of text, and more than the ring of a step of 64 tokens."""
    return tuple(tokenizer().encode((TEXTS / "english.txt").read_text("utf-8") * 5)[:1200])


def test_an_agents_next_turn_computes_one_percent_of_its_beginning_and_answers_as_if_new() -> None:
    with_cache, without = engine(64, prefix_cache=True), engine(512, prefix_cache=False)
    first = Request(long_prompt(), 20, 7)
    answer = [event.id for event in with_cache.submit(first) if isinstance(event, Token)]
    second = Request((*first.prompt, *answer, *tokenizer().encode("And then?", bos=False)), 12, 8)
    *fast, end = with_cache.submit(second)
    *slow, _ = without.submit(second)
    assert fast == slow
    assert isinstance(end, Finished)
    assert len(first.prompt) + len(answer) - end.cached_tokens <= 1 + 32


def test_texts_that_part_early_or_run_beside_one_another_answer_as_if_alone() -> None:
    """Beginnings within the window, beyond it, and where the windows' pages are gone; with wrong guesses on top."""
    prompt, other = long_prompt(), tuple(tokenizer().encode("Meanwhile, in another town", bos=False))
    together = [Request((*prompt[:end], *other), 10, end) for end in (1200, 1000, 100, 1001)]
    expected = [answers(512, [one])[0] for one in together]
    known = [(*one.prompt, *answer) for one, answer in zip(together, expected, strict=True)]
    guessed = [replace(one, speculation=Guessing(text, 0.4)) for one, text in zip(together, known, strict=True)]
    driven = engine(64, prefix_cache=True)
    for _ in range(2):
        streams = [driven.submit(one) for one in guessed]
        events = [list(stream) for stream in streams]
        assert [[event.id for event in each if isinstance(event, Token)] for each in events] == expected
    found = [end.cached_tokens for *_, end in events if isinstance(end, Finished)]
    assert sum(cached > 0 for cached in found) >= 2, found


def test_a_single_thread_gives_the_answers_of_two() -> None:
    expected = alone()
    ops.set_threads(1)
    assert [answers(64, [request])[0] for request in requests()[:2]] == expected[:2]


def test_candidates_are_the_largest_logits_bit_for_bit() -> None:
    net, prompt = network("default"), np.array(requests()[1].prompt[:20], np.int32)
    cache = net.new_cache(capacity_tokens=32, max_step_tokens=20, max_sequences=1)
    step = Step(prompt, np.arange(20, dtype=np.int32), np.full(20, cache.open(20), np.int32))
    hidden = net.forward(step, cache)[-3:]
    rows = net.logits(hidden)
    for k, below in [(1, 262_144), (64, 262_144), (40, 5000), (7, 7)]:
        ids, values = net.candidates(hidden, k, below)
        assert (ids.dtype, values.dtype) == (np.int32, np.float32)
        expected = np.argsort(-rows[:, :below], axis=1, kind="stable")[:, :k]
        assert np.array_equal(ids, expected)
        assert np.array_equal(values, np.take_along_axis(rows, expected, axis=1))
    hidden[1, 5] = np.nan
    assert np.isnan(net.candidates(hidden, 3, 262_144)[1]).tolist() == [[False] * 3, [True] * 3, [False] * 3]


def test_without_the_cache_the_answer_is_the_same() -> None:
    model = Model(network("default"), tokenizer(), TRANSCRIPT, Facts("real", "gemma3", 0, 0, "default"))
    fast, slow = (one.generate("The sea is", max_tokens=12, seed=9) for one in (model, model.without_cache()))
    assert fast.tokens == slow.tokens


def test_scores_are_the_log_probabilities_of_generated_tokens() -> None:
    model = Model(network("default"), tokenizer(), TRANSCRIPT, Facts("real", "gemma3", 0, 0, "default"))
    done = model.generate("The sea is", max_tokens=12, seed=9, logprobs=True)
    prompt = model.encode("The sea is")
    scored = model.score([*prompt, *done.tokens])[len(prompt) - 1 :]
    assert np.array_equal(np.array(done.logprobs, np.float32), scored)


def test_a_token_costs_every_matrix_once_and_the_keys_it_sees() -> None:
    shallow, deep = network("default").cost(0), network("default").cost(4095)
    assert shallow.weight_bytes == deep.weight_bytes
    assert 0.7 * 247e6 < deep.weight_bytes < 0.8 * 247e6  # half of the head; as packed, Q6_K takes more than as stored
    assert deep.layer_multiplications + deep.head_multiplications == checkpoint_matrix_values()
    per_key = 2 * 256 * 2
    assert shallow.cache_bytes == 18 * per_key
    assert deep.cache_bytes == (15 * 512 + 3 * 4096) * per_key


def checkpoint_matrix_values() -> int:
    return sum(tensor.values for tensor in checkpoint().tensors.values() if len(tensor.shape) == 2)
