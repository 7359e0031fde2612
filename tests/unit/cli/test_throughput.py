"""What `gemwright bench` times: the tokens, positions and logits asked of the network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from gemwright.cli import throughput
from gemwright.errors import ContextOverflow, UsageError


@dataclass(frozen=True)
class _Config:
    context_tokens: int = 10_000
    vocabulary: int = 1000


class _Cache:
    def __init__(self, sequences: int, capacity: int) -> None:
        self.free, self.capacity, self.opened = list(range(sequences)), capacity, []

    def open(self, max_tokens: int) -> int:
        assert max_tokens <= self.capacity
        self.opened.append(max_tokens)
        return self.free.pop()

    def close(self, slot: int) -> None:
        self.free.append(slot)


class _Network:
    """Writes down every step; a step takes one tick of the clock below per token."""

    def __init__(self) -> None:
        self.config = _Config()
        self.steps: list[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = []
        self.logit_rows = 0
        self.now = 0.0

    def new_cache(self, *, capacity_tokens: int, max_step_tokens: int, max_sequences: int) -> _Cache:
        self.cache = _Cache(max_sequences, capacity_tokens)
        return self.cache

    def forward(self, step, cache, rows=None):
        assert all(array.dtype == np.int32 for array in (step.tokens, step.positions, step.slots))
        self.steps.append(tuple(tuple(array.tolist()) for array in (step.tokens, step.positions, step.slots)))
        self.now += len(step)
        return np.zeros((len(step if rows is None else rows), 4), np.float32)

    def candidates(self, hidden, k, below):
        self.logit_rows += len(hidden)
        return np.zeros((len(hidden), k), np.int32), np.zeros((len(hidden), k), np.float32)


def _measure(**counts: int):
    network = _Network()
    work = throughput.Workload(**{"prompt": 0, "generate": 0, "depth": 0, "batch": 1, "repeat": 1, **counts})
    return network, throughput.measure(network, work, [2, 7, 9], clock=lambda: network.now)


def test_a_prompt_is_processed_in_full_steps_with_logits_of_its_last_token() -> None:
    network, rates = _measure(prompt=1100)
    sizes = [len(tokens) for tokens, _, _ in network.steps]
    assert sizes == [512, 512, 76] * 2  # a warm-up and one repetition
    assert network.logit_rows == 2
    assert rates == {"prefill": [1.0]}


def test_generation_takes_one_token_a_step_each_with_logits() -> None:
    network, rates = _measure(generate=5, repeat=3)
    assert [positions for _, positions, _ in network.steps] == [(p,) for p in range(5)] * 4
    assert network.logit_rows == 20
    assert rates == {"decode": [1.0, 1.0, 1.0]}


def test_depth_is_filled_but_not_timed() -> None:
    network, rates = _measure(generate=4, depth=600)
    positions = [p for _, ps, _ in network.steps for p in ps]
    assert positions == list(range(604)) * 2
    assert rates == {"decode": [1.0]}  # 4 tokens in 4 ticks; the 600 before them would show


def test_a_batch_runs_side_by_side_and_counts_all_tokens() -> None:
    network, rates = _measure(generate=3, prompt=2, batch=4)
    decode = [slots for tokens, _, slots in network.steps if len(tokens) == 4]
    assert all(sorted(slots) == [0, 1, 2, 3] for slots in decode)
    assert len(decode) == 2 * 3
    assert rates == {"prefill": [1.0], "decode": [1.0]}


def test_every_slot_is_given_back() -> None:
    network, _ = _measure(prompt=10, generate=10, depth=5, batch=3, repeat=2)
    assert sorted(network.cache.free) == [0, 1, 2]


def test_the_tokens_are_the_same_in_every_run_and_within_the_vocabulary() -> None:
    first, _ = _measure(prompt=300)
    second, _ = _measure(prompt=300)
    assert first.steps == second.steps
    assert all(0 <= token < 1000 for tokens, _, _ in first.steps for token in tokens)
    assert first.steps[0][0][0] == 2


def test_more_than_the_context_is_refused_with_numbers() -> None:
    with pytest.raises(ContextOverflow, match=r"10001 tokens .* 10000"):
        _measure(prompt=1, depth=10_000)


@pytest.mark.parametrize(
    "counts", [{"prompt": -1}, {"depth": -5, "prompt": 1}, {"batch": 0, "prompt": 1}, {"repeat": 0}]
)
def test_an_impossible_workload_is_refused_by_name(counts: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=f"--{next(iter(counts))}"):
        _measure(**counts)


def test_nothing_to_measure_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing to measure"):
        _measure()
