"""Our engine against transformers on tiny Gemma 3 checkpoints, and against itself however the work is grouped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gemwright import ops
from gemwright.models import ARCHITECTURES, Network, gemma3, gemma3_layer
from gemwright.models.weights import Precision
from gemwright.step import F32
from gemwright.weights import open_checkpoint
from support.grouping import in_chunks
from support.promises import (
    TARGETS,
    assert_chunks_change_nothing,
    assert_company_changes_nothing,
    assert_rows_are_those_of_the_whole,
    assert_threads_and_targets_change_nothing,
)
from support.tiny_gemma3 import NAMES, assert_near, golden

TOLERANCE = 1e-4
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
    assert_chunks_change_nothing(network(name), golden(name).tokens)


@pytest.mark.parametrize("name", NAMES)
def test_sequences_that_share_steps_get_the_bits_they_get_alone(name: str) -> None:
    assert_company_changes_nothing(network(name), golden(name).tokens)


@pytest.mark.parametrize("name", NAMES)
def test_threads_and_cpu_targets_do_not_change_a_bit(name: str) -> None:
    assert_threads_and_targets_change_nothing(network(name), golden(name).tokens)


@pytest.mark.parametrize("name", NAMES)
def test_states_of_chosen_tokens_are_those_of_the_whole_step(name: str) -> None:
    assert_rows_are_those_of_the_whole(network(name), golden(name).tokens)
