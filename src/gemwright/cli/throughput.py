"""Times a network in the terms of llama-bench: prompts and generation, after so many tokens of context.

A prompt of `prompt` tokens is processed in one go and `generate` tokens one after the other, both after `depth` tokens
that are not timed. The tokens are those of a given text, over and over; sequences of a batch begin at different places.
Each step of generation also finds the likeliest next token, as a greedy answer does, but goes on with the text.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from gemwright.cache import pages_for
from gemwright.engine.request import Network
from gemwright.errors import ContextOverflow, UsageError
from gemwright.ops import PAGE_TOKENS
from gemwright.step import F32, I32, Step

STEP_TOKENS = 512
"""Tokens of one forward pass while a prompt is processed."""

Feed: TypeAlias = Callable[[Network, Any, I32, Sequence[int], range], None]
STRIDE = 37
"""How much further on in the text each next sequence of a batch begins."""


@dataclass(frozen=True)
class Workload:
    """What is timed: token counts per sequence, and how many sequences and repetitions."""

    prompt: int
    generate: int
    depth: int
    batch: int
    repeat: int

    def __post_init__(self) -> None:
        for name, least in [("prompt", 0), ("generate", 0), ("depth", 0), ("batch", 1), ("repeat", 1)]:
            if getattr(self, name) < least:
                raise UsageError(f"--{name} is {getattr(self, name)}: it must be at least {least}.")
        if not self.prompt and not self.generate:
            raise UsageError("--prompt and --generate are both 0: there is nothing to measure.")


def measure(
    network: Network, work: Workload, text: Sequence[int], clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Tokens a second of each repetition, under "prefill" and "decode"; a test of 0 tokens is left out.

    text: token ids, at least one.
    """
    longest = work.depth + max(work.prompt, work.generate)
    if longest > network.config.context_tokens:
        raise ContextOverflow(
            f"{longest} tokens are asked for; the model's context is {network.config.context_tokens}.",
            hint="Lower --depth, --prompt or --generate.",
        )
    whole_pages = pages_for(longest) * PAGE_TOKENS
    cache = network.new_cache(
        capacity_tokens=work.batch * whole_pages, max_step_tokens=STEP_TOKENS, max_sequences=work.batch
    )
    rates: dict[str, list[float]] = {}
    for name, tokens, feed in [("prefill", work.prompt, _prefill), ("decode", work.generate, _decode)]:
        if tokens:
            seconds = [
                _time(network, cache, work, tokens, feed, np.asarray(text, np.int32), clock)
                for _ in range(work.repeat + 1)
            ]
            rates[name] = [work.batch * tokens / s for s in seconds[1:]]  # the first run warms up
    return rates


def _time(
    network: Network, cache: Any, work: Workload, tokens: int, feed: Feed, text: I32, clock: Callable[[], float]
) -> float:
    """Seconds `feed` takes for `tokens` tokens of each sequence, after `depth` untimed ones."""
    slots = [cache.open(work.depth + tokens) for _ in range(work.batch)]
    _prefill(network, cache, text, slots, range(work.depth))
    started = clock()
    feed(network, cache, text, slots, range(work.depth, work.depth + tokens))
    seconds = clock() - started
    for slot in slots:
        cache.close(slot)
    return seconds


def _prefill(network: Network, cache: Any, text: I32, slots: Sequence[int], positions: range) -> None:
    """One sequence after the other in full steps; the next token only after each one's last."""
    for i, slot in enumerate(slots):
        for start in range(0, len(positions), STEP_TOKENS):
            at = np.asarray(positions[start : start + STEP_TOKENS], np.int32)
            last = [len(at) - 1] if start + STEP_TOKENS >= len(positions) else []
            hidden = network.forward(Step(_tokens(text, at, i), at, np.full_like(at, slot)), cache, last)
            if last:
                _choose(network, hidden)


def _decode(network: Network, cache: Any, text: I32, slots: Sequence[int], positions: range) -> None:
    """One token of every sequence in each step, with the likeliest next one."""
    all_slots = np.asarray(slots, np.int32)
    for position in positions:
        at = np.full(len(slots), position, np.int32)
        _choose(network, network.forward(Step(_tokens(text, at, np.arange(len(at))), at, all_slots), cache))


def _choose(network: Network, hidden: F32) -> None:
    network.candidates(hidden, 1, network.config.vocabulary)


def _tokens(text: I32, positions: I32, sequence: int | npt.NDArray[np.int64]) -> I32:
    at = (positions.astype(np.int64) + STRIDE * np.asarray(sequence)) % len(text)
    return np.ascontiguousarray(text[at])
