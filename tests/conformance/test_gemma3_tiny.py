"""Our engine against transformers on tiny Gemma 3 checkpoints, and against itself however the work is grouped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gemwright import ops
from gemwright.models import ARCHITECTURES, Network, gemma3, gemma3_layer
from gemwright.models.weights import Precision
from gemwright.step import F32, Step
from gemwright.weights import open_checkpoint
from support.grouping import in_chunks, mixed
from support.tiny_gemma3 import NAMES, assert_near, golden

TOLERANCE = 1e-4
TARGETS = [name for name, usable in ops.targets().items() if usable]
SEED = 20261123


def network(name: str, precision: Precision = "default") -> Network:
    checkpoint = open_checkpoint(golden(name).path)
    return ARCHITECTURES[checkpoint.architecture].build(checkpoint, precision)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("precision", ["default", "exact"])
@pytest.mark.parametrize("name", NAMES)
def test_the_engine_computes_what_transformers_computes(name: str, precision: Precision, target: str) -> None:
    ops.use_target(target)
    g = golden(name)
    net = network(name, precision)
    net.kv_format = ops.KVFormat.F32  # transformers keeps float32 too; what F16 costs, test_real_270m.py tells
    hidden = in_chunks(net, g.tokens, len(g.tokens))
    assert_near(hidden, g.hidden, TOLERANCE)
    assert_near(net.logits(hidden), g.logits, TOLERANCE)


@pytest.mark.parametrize("name", NAMES)
def test_the_stream_after_every_layer_is_that_of_transformers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    g, net = golden(name), network(name)
    net.kv_format = ops.KVFormat.F32
    seen: list[F32] = []

    def recording(*args: Any) -> tuple[F32, F32]:
        x, normed = gemma3_layer.block(*args)
        seen.append(x)
        return x, normed

    monkeypatch.setattr(gemma3, "block", recording)
    in_chunks(net, g.tokens, len(g.tokens))
    assert len(seen) == len(g.layers) + 1
    for ours, theirs in zip(seen, g.layers, strict=False):
        assert_near(ours[-len(theirs) :], theirs, TOLERANCE)


@pytest.mark.parametrize("precision", ["default", "exact"])
@pytest.mark.parametrize("name", NAMES)
def test_the_greedy_answer_is_that_of_transformers(name: str, precision: Precision) -> None:
    g, net = golden(name), network(name, precision)
    net.kv_format = ops.KVFormat.F32
    text = np.concatenate([g.tokens, g.answer])
    hidden = in_chunks(net, text, len(text))[len(g.tokens) - 1 : -1]
    ids, _ = net.candidates(hidden, 1, net.config.vocabulary)
    assert ids[:, 0].tolist() == g.answer.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_chunks_and_one_by_one_give_the_bits_of_the_whole_prompt(name: str) -> None:
    g, net = golden(name), network(name)
    whole = in_chunks(net, g.tokens, len(g.tokens))
    logits = net.logits(whole)
    for size in (1, 2, 3, 5, 7, 8, 16, 31, 32, 33, 39, 64, 255):
        hidden = in_chunks(net, g.tokens, min(size, len(g.tokens)))
        assert np.array_equal(hidden, whole), f"chunks of {size}"
        assert np.array_equal(np.concatenate([net.logits(row[None]) for row in hidden]), logits), "logits row by row"


@pytest.mark.parametrize("name", NAMES)
def test_a_long_chunk_then_single_tokens_give_the_bits_of_the_whole_prompt(name: str) -> None:
    """What an answer is: a prompt in one step, then a token a step."""
    g, net = golden(name), network(name)
    whole = in_chunks(net, g.tokens, len(g.tokens))
    prompt = len(g.tokens) * 2 // 3
    assert np.array_equal(in_chunks(net, g.tokens, [prompt] + [1] * (len(g.tokens) - prompt)), whole)


@pytest.mark.parametrize("name", NAMES)
def test_sequences_that_share_steps_get_the_bits_they_get_alone(name: str) -> None:
    g, net = golden(name), network(name)
    rng = np.random.default_rng(SEED)
    lengths = (len(g.tokens), 1, 33, len(g.tokens) // 2, 64, 70, 5, 100)
    sequences = [g.tokens] + [rng.integers(0, net.config.vocabulary, n).astype(np.int32) for n in lengths[1:]]
    alone = [in_chunks(net, tokens, len(tokens)) for tokens in sequences]
    for largest in (1, 6, 40):
        for s, hidden in enumerate(mixed(net, sequences, largest, rng)):
            assert np.array_equal(hidden, alone[s]), f"sequence {s}, pieces of up to {largest}, seed {SEED}"


@pytest.mark.parametrize("name", NAMES)
def test_threads_and_cpu_targets_do_not_change_a_bit(name: str) -> None:
    g, net = golden(name), network(name)
    ops.set_threads(1)
    ops.use_target("scalar")
    whole = in_chunks(net, g.tokens, len(g.tokens))
    logits = net.logits(whole)
    for target in TARGETS:
        ops.use_target(target)
        for threads in (1, 2, 3):
            ops.set_threads(threads)
            where = f"{target}, {threads} threads"
            assert np.array_equal(in_chunks(net, g.tokens, len(g.tokens)), whole), where
            assert np.array_equal(in_chunks(net, g.tokens, 19), whole), where
            assert np.array_equal(in_chunks(net, g.tokens[:11], 1), whole[:11]), where
            assert np.array_equal(net.logits(whole), logits), where


@pytest.mark.parametrize("name", NAMES)
def test_states_of_chosen_tokens_are_those_of_the_whole_step(name: str) -> None:
    g, net = golden(name), network(name)
    whole = in_chunks(net, g.tokens, len(g.tokens))
    count = len(g.tokens)
    positions = np.arange(count, dtype=np.int32)
    for rows in ([], [count - 1], [0, 3, 4, count // 2, count - 1]):
        cache = net.new_cache(capacity_tokens=count, max_step_tokens=count, max_sequences=1)
        step = Step(g.tokens, positions, np.full(count, cache.open(count), np.int32))
        assert np.array_equal(net.forward(step, cache, rows), whole[rows])
