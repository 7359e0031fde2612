"""The sampler against a naive reading of its own docstring, and the properties a user relies on."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemwright.engine.sampler import Candidates, Penalties, candidates_needed, choose, choose_among, uniform_at
from gemwright.errors import NotFinite
from gemwright.messages import Sampling
from gemwright.step import F32

PLAIN = Sampling(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0)


def naive(row: F32, s: Sampling, uniform: float, prompt: list[int], answer: list[int]) -> int:
    """The eight steps one after the other, over the whole vocabulary, in plain Python."""
    logits = [np.float32(value) for value in row]
    for token, bias in s.logit_bias.items():
        logits[token] += np.float32(bias)
    for token in {*prompt, *answer}:
        penalty = np.float32(s.repetition_penalty)
        logits[token] = logits[token] / penalty if logits[token] > 0 else logits[token] * penalty
    for token, count in Counter(answer).items():
        logits[token] -= np.float32(s.frequency_penalty) * np.float32(count) + np.float32(s.presence_penalty)
    order = sorted(range(len(logits)), key=lambda token: (-logits[token], token))
    if s.temperature == 0:
        return order[0]
    order = order[: s.top_k or len(order)]
    weights = [math.exp((float(logits[token]) - float(logits[order[0]])) / s.temperature) for token in order]
    if s.top_p < 1:
        total, reached, kept = sum(weights), 0.0, 0
        while kept < len(weights) and reached < s.top_p * total:
            reached += weights[kept]
            kept += 1
        order, weights = order[:kept], weights[:kept]
    order, weights = order[: sum(w >= s.min_p for w in weights)], [w for w in weights if w >= s.min_p]
    reached, target = 0.0, uniform * sum(weights)
    for token, weight in zip(order, weights, strict=True):
        reached += weight
        if reached > target:
            return token
    return order[-1]


@pytest.mark.parametrize("seed", range(6))
def test_it_does_what_its_docstring_says(seed: int) -> None:
    rng = random.Random(seed)
    for case in range(150):
        size = rng.choice([1, 2, 7, 50, 300, 700])
        row = np.array([rng.gauss(0, rng.choice([0.01, 2.0])) for _ in range(size)], np.float32)
        if rng.random() < 0.3:
            row = np.round(row)  # many ties
        tokens = range(size)
        s = Sampling(
            temperature=rng.choice([0.0, 0.3, 1.0, 5.0]),
            top_k=rng.choice([0, 1, 3, 64, 1000]),
            top_p=rng.choice([1.0, 0.95, 0.5, 1e-6]),
            min_p=rng.choice([0.0, 0.05, 1.0]),
            repetition_penalty=rng.choice([1.0, 1.3, 0.8]),
            presence_penalty=rng.choice([0.0, 0.7]),
            frequency_penalty=rng.choice([0.0, -0.4]),
            logit_bias=rng.choice([{}, {rng.choice(tokens): 4.0}]),
        )
        prompt, answer = rng.choices(tokens, k=rng.randint(1, 9)), rng.choices(tokens, k=rng.randint(0, 40))
        penalties = Penalties(s, prompt)
        for token in answer:
            penalties.record(token)
        uniform = rng.random()
        expected = naive(row, s, uniform, prompt, answer)
        assert choose(row, s, uniform, penalties=penalties).token == expected, f"seed {seed}, case {case}: {s}"


@pytest.mark.parametrize("flatness", [0.1, 1.0, 6.0])
@pytest.mark.parametrize("cut", [{}, {"top_p": 0.9}, {"min_p": 0.01}, {"top_p": 0.5, "min_p": 0.3}])
def test_looking_at_a_beginning_first_never_changes_the_draw(flatness: float, cut: dict[str, float]) -> None:
    """top_k 0 looks at 256 tokens, then more; top_k = V sorts everything at once. Same distribution, same draw."""
    rng = np.random.default_rng(1)
    row = (rng.normal(size=6000) * 3).astype(np.float32)
    for uniform in [0.0, *rng.random(40), 1 - 2**-53]:
        some = Sampling(temperature=flatness, top_k=0, **{"top_p": 1.0, **cut})
        everything = Sampling(temperature=flatness, top_k=len(row), **{"top_p": 1.0, **cut})
        assert choose(row, some, uniform) == choose(row, everything, uniform)


@settings(max_examples=400)
@given(
    st.lists(st.sampled_from([-2.0, -1.0, -0.0, 0.0, 0.5, 1.0, 7.0]), min_size=1, max_size=90),
    st.sampled_from([0.0, 0.4, 1.0, 3.0]),
    st.integers(1, 5) | st.integers(1, 64),
    st.sampled_from([1.0, 0.9, 0.3]),
    st.sampled_from([0.0, 0.1, 1.0]),
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 20),
)
def test_the_candidates_of_a_row_give_the_draw_of_the_row(
    logits: list[float], temperature: float, top_k: int, top_p: float, min_p: float, uniform: float, more: int
) -> None:
    """Rows full of ties, `more` candidates than needed, or all there are."""
    row = np.array(logits, np.float32)
    s = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    ids = np.argsort(-row, kind="stable")[: candidates_needed(s) + more].astype(np.int32)
    assert choose_among(Candidates(ids, row[ids]), s, uniform) == choose(row, s, uniform)


@pytest.mark.parametrize(
    ("sampling", "count"),
    [
        (Sampling.greedy(), 1),
        (Sampling(temperature=0.0, top_k=0), 1),
        (Sampling(), 64),
        (Sampling(top_k=65), 0),
        (Sampling(top_k=0, min_p=0.1), 0),
        (Sampling.greedy(logit_bias={1: 1.0}), 0),
        (Sampling(top_k=5, repetition_penalty=1.1), 0),
        (Sampling(top_k=5, presence_penalty=0.1), 0),
        (Sampling(top_k=5, frequency_penalty=-0.1), 0),
    ],
)
def test_candidates_are_enough_only_for_a_small_top_k_of_unchanged_logits(sampling: Sampling, count: int) -> None:
    assert candidates_needed(sampling) == count


def test_candidates_that_are_no_numbers_are_an_error() -> None:
    bad = Candidates(np.zeros(2, np.int32), np.full(2, math.nan, np.float32))
    for sampling in (Sampling(), Sampling.greedy()):
        with pytest.raises(NotFinite, match="nan among the logits"):
            choose_among(bad, sampling, 0.5)


def test_draws_follow_the_distribution() -> None:
    row = np.log(np.array([0.5, 0.25, 0.125, 0.125], np.float32))
    drawn = Counter(choose(row, PLAIN, uniform_at(7, index)).token for index in range(20_000))
    for token, share in enumerate([0.5, 0.25, 0.125, 0.125]):
        assert abs(drawn[token] / 20_000 - share) < 5 * math.sqrt(share / 20_000)


def test_each_token_has_the_half_open_part_of_0_to_1_that_is_its_share() -> None:
    row = np.zeros(4, np.float32)
    assert [choose(row, PLAIN, uniform).token for uniform in (0.0, 0.25, 0.5, 0.75, 1 - 2**-53)] == [0, 1, 2, 3, 3]


def test_greedy_takes_the_lowest_of_equal_tokens() -> None:
    assert choose(np.array([1, 3, 3, 2], np.float32), Sampling.greedy(), 0.99).token == 1


def test_top_k_of_one_is_greedy_and_a_temperature_near_zero_nearly_so() -> None:
    row = np.array([1, 2.9, 3, 2], np.float32)
    for uniform in (0.0, 0.5, 0.999999):
        assert choose(row, Sampling(top_k=1), uniform).token == 2
        assert choose(row, Sampling(temperature=1e-300), uniform).token == 2


def test_the_log_probability_is_the_models_own_whatever_the_options() -> None:
    row = np.random.default_rng(0).normal(size=50).astype(np.float32)
    expected = row.astype(np.float64) - np.log(np.exp(row.astype(np.float64)).sum())
    s = Sampling(temperature=0.3, top_k=5, logit_bias={3: 100.0})
    choice = choose(row, s, 0.5, penalties=Penalties(s, [3]), want_logprob=True)
    assert choice.token == 3
    assert choice.logprob == pytest.approx(expected[3], abs=1e-5)
    assert choose(row, s, 0.5).logprob is None


def test_the_row_is_never_changed() -> None:
    row = np.random.default_rng(0).normal(size=50).astype(np.float32)
    before = row.copy()
    s = Sampling(repetition_penalty=2.0, presence_penalty=1.0, logit_bias={1: 2.0})
    choose(row, s, 0.5, penalties=Penalties(s, [1, 2]))
    assert np.array_equal(row, before)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("sampling", [Sampling(), Sampling.greedy(), PLAIN])
def test_a_logit_that_is_no_number_is_an_error_and_never_a_token(bad: float, sampling: Sampling) -> None:
    row = np.zeros(300, np.float32)
    row[170] = bad
    with pytest.raises(NotFinite, match="token 170"):
        choose(row, sampling, 0.5)


def test_finite_logits_whose_sum_overflows_are_fine() -> None:
    row = np.full(300, 3e38, np.float32)
    assert choose(row, Sampling.greedy(), 0.5).token == 0


def test_the_prompt_counts_for_repetition_but_not_for_presence_and_frequency() -> None:
    row = np.array([5, 4, -1], np.float32)
    repetition = Sampling(repetition_penalty=2.0)
    openai = Sampling(presence_penalty=1.0, frequency_penalty=0.5)
    assert Penalties(repetition, [0, 2]).apply(row).tolist() == [2.5, 4, -2]
    counted = Penalties(openai, [0])
    assert counted.apply(row).tolist() == [5, 4, -1]
    counted.record(1)
    counted.record(1)
    assert counted.apply(row).tolist() == [5, 2, -1]


def test_random_numbers_are_even_and_differ_between_neighbouring_seeds_and_indices() -> None:
    numbers = np.array([[uniform_at(seed, index) for index in range(200)] for seed in range(200)])
    assert numbers.min() >= 0
    assert numbers.max() < 1
    shares = np.histogram(numbers, bins=20, range=(0, 1))[0] / numbers.size
    assert np.abs(shares - 0.05).max() < 5 * math.sqrt(0.05 / numbers.size)
    assert len(np.unique(numbers)) == numbers.size
    for other in (np.roll(numbers, 1, axis=0), np.roll(numbers, 1, axis=1)):
        assert abs(np.corrcoef(numbers.ravel(), other.ravel())[0, 1]) < 0.025


def splitmix64(seed: int) -> Iterator[int]:
    while True:
        seed = (seed + 0x9E3779B97F4A7C15) % 2**64
        z = (seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        yield z ^ (z >> 31)


def test_random_numbers_are_those_of_splitmix64_so_a_kept_seed_keeps_its_answer() -> None:
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert list(islice(splitmix64(1234567), 4)) == published
    for seed in (0, 1, 2**64 - 1):
        stream = splitmix64(next(splitmix64(seed)))
        expected = [(bits >> 11) / 2**53 for bits in islice(stream, 50)]
        assert [uniform_at(seed, index) for index in range(50)] == expected
