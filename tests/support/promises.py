"""What holds for every network, bit for bit: a token's result does not depend on what is computed beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gemwright import ops
from gemwright.models import Network
from gemwright.step import F32, Step
from support.grouping import in_chunks, mixed

I32 = npt.NDArray[np.int32]

SEED = 20261125
TARGETS = [name for name, usable in ops.targets().items() if usable]


def at_once(net: Network, tokens: I32, rows: Sequence[int] | None) -> F32:
    """Hidden states of `rows` of `tokens`, computed in one step."""
    count = len(tokens)
    cache = net.new_cache(capacity_tokens=count, max_step_tokens=count, max_sequences=1)
    slots = np.full(count, cache.open(count), np.int32)
    return net.forward(Step(tokens, np.arange(count, dtype=np.int32), slots), cache, rows)


def assert_chunks_change_nothing(net: Network, tokens: I32) -> None:
    """A prompt in pieces of any size, or in one step with single tokens after it, as an answer is."""
    whole = in_chunks(net, tokens, len(tokens))
    logits = net.logits(whole)
    for size in (1, 2, 3, 5, 7, 8, 16, 31, 32, 33, 39, 64, 255):
        hidden = in_chunks(net, tokens, min(size, len(tokens)))
        assert np.array_equal(hidden, whole), f"chunks of {size}"
        assert np.array_equal(np.concatenate([net.logits(row[None]) for row in hidden]), logits), "logits row by row"
    prompt = len(tokens) * 2 // 3
    assert np.array_equal(in_chunks(net, tokens, [prompt] + [1] * (len(tokens) - prompt)), whole)


def assert_company_changes_nothing(net: Network, tokens: I32) -> None:
    """Several sequences that share steps."""
    rng = np.random.default_rng(SEED)
    lengths = (len(tokens), 1, 33, len(tokens) // 2, 64, 70, 5, 100)
    sequences = [tokens] + [rng.integers(0, net.config.vocabulary, n).astype(np.int32) for n in lengths[1:]]
    alone = [in_chunks(net, one, len(one)) for one in sequences]
    for largest in (1, 6, 40):
        for s, hidden in enumerate(mixed(net, sequences, largest, rng)):
            assert np.array_equal(hidden, alone[s]), f"sequence {s}, pieces of up to {largest}, seed {SEED}"


def assert_threads_and_targets_change_nothing(net: Network, tokens: I32) -> None:
    """Any number of threads, on every CPU target. Leaves both changed."""
    ops.set_threads(1)
    ops.use_target("scalar")
    whole = in_chunks(net, tokens, len(tokens))
    logits = net.logits(whole)
    for target in TARGETS:
        ops.use_target(target)
        for threads in (1, 2, 3):
            ops.set_threads(threads)
            where = f"{target}, {threads} threads"
            assert np.array_equal(in_chunks(net, tokens, len(tokens)), whole), where
            assert np.array_equal(in_chunks(net, tokens, 19), whole), where
            assert np.array_equal(in_chunks(net, tokens[:11], 1), whole[:11]), where
            assert np.array_equal(net.logits(whole), logits), where


def assert_rows_are_those_of_the_whole(net: Network, tokens: I32) -> None:
    """States of chosen tokens, when only they are wanted."""
    whole, count = in_chunks(net, tokens, len(tokens)), len(tokens)
    for rows in ([], [count - 1], [0, 3, 4, count // 2, count - 1], list(range(count))):
        assert np.array_equal(at_once(net, tokens, rows), whole[rows]), f"rows {rows}"
