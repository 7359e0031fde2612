"""Our engine against transformers on tiny Gemma 4 checkpoints, and against itself however the work is grouped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gemwright import ops
from gemwright.models.gemma4 import Gemma4
from gemwright.models.gemma4_config import Config
from gemwright.models.gemma4_feed_forward import FeedForward
from gemwright.models.gemma4_layer import Layer
from gemwright.models.weights import Precision
from gemwright.step import F32, Step
from gemwright.weights import Checkpoint, open_checkpoint
from support.grouping import in_chunks
from support.promises import (
    TARGETS,
    assert_chunks_change_nothing,
    assert_company_changes_nothing,
    assert_rows_are_those_of_the_whole,
    assert_threads_and_targets_change_nothing,
    at_once,
)
from support.tiny_gemma3 import assert_near
from support.tiny_gemma4 import IN_GGUF, MIXTURES, NAMES, SHARING, as_gguf, changed, golden, network

TOLERANCE = 1e-4
SEED = 20261125


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("precision", ["default", "exact"])
@pytest.mark.parametrize("name", NAMES)
def test_the_engine_computes_what_transformers_computes(name: str, precision: Precision, target: str) -> None:
    ops.use_target(target)
    g, net = golden(name), network(name, precision)
    hidden = in_chunks(net, g.tokens, len(g.tokens))
    assert_near(hidden, g.hidden, TOLERANCE)
    assert_near(net.logits(hidden), g.logits, TOLERANCE)


@pytest.mark.parametrize("name", NAMES)
def test_every_layer_computes_what_transformers_computes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    g, net = golden(name), network(name)
    states: list[F32] = []

    def recording(layer: Layer, x: F32, *others: Any) -> F32:
        states.append(x)
        return finish(layer, x, *others)

    finish = Layer.finish
    monkeypatch.setattr(Layer, "finish", recording)
    in_chunks(net, g.tokens, len(g.tokens))
    assert len(states) == len(g.states) == net.config.layers
    for state, expected in zip(states, g.states, strict=True):
        assert_near(state[-len(expected) :], expected, TOLERANCE)


@pytest.mark.parametrize("precision", ["default", "exact"])
@pytest.mark.parametrize("name", NAMES)
def test_the_likeliest_answer_is_that_of_transformers(name: str, precision: Precision) -> None:
    g, net = golden(name), network(name, precision)
    text, answer = g.tokens, list[int]()
    cache = net.new_cache(capacity_tokens=160, max_step_tokens=160, max_sequences=1)
    slot, start = cache.open(160), 0
    for _ in g.greedy:
        part = text[start:]
        step = Step(part, np.arange(start, len(text), dtype=np.int32), np.full(len(part), slot, np.int32))
        ids, _ = net.candidates(net.forward(step, cache, [len(part) - 1]), 1, net.config.vocabulary)
        answer.append(int(ids[0, 0]))
        start, text = len(text), np.append(text, ids[0]).astype(np.int32)
    assert answer == g.greedy.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_chunks_and_one_by_one_give_the_bits_of_the_whole_prompt(name: str) -> None:
    assert_chunks_change_nothing(network(name), golden(name).tokens)


@pytest.mark.parametrize("name", NAMES)
def test_sequences_that_share_steps_get_the_bits_they_get_alone(name: str) -> None:
    assert_company_changes_nothing(network(name), golden(name).tokens)


@pytest.mark.parametrize("name", NAMES)
def test_threads_and_cpu_targets_do_not_change_a_bit(name: str) -> None:
    assert_threads_and_targets_change_nothing(network(name), golden(name).tokens)


@pytest.mark.parametrize("shortcut", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_states_of_chosen_tokens_are_those_of_the_whole_step(name: str, shortcut: bool) -> None:
    """With the prefill shortcut and without it."""
    net = network(name)
    net.shortcut = shortcut
    assert_rows_are_those_of_the_whole(net, golden(name).tokens)


@pytest.mark.parametrize("name", NAMES)
def test_layers_above_the_last_owner_of_keys_compute_only_the_tokens_that_are_wanted(name: str) -> None:
    g, net = golden(name), network(name)
    count, layers, owners = len(g.tokens), net.config.layers, net.config.owners
    assert (owners < layers) == (name in SHARING)
    tokens = counted(net)

    at_once(net, g.tokens, [3, count - 1])
    assert tokens == [count] * (owners - 1) + [2] * (layers - owners + 1)
    tokens.clear()
    at_once(net, g.tokens, [])
    assert tokens == [count] * (owners - 1)
    tokens.clear()
    net.shortcut = False
    at_once(net, g.tokens, [count - 1])
    assert tokens == [count] * layers


def counted(net: Gemma4) -> list[int]:
    """A list that is told how many tokens each feed-forward network computes from now on."""
    seen: list[int] = []

    def counting(inner: FeedForward) -> Any:
        def call(x: F32, normed: F32) -> F32:
            seen.append(len(x))
            return inner(x, normed)

        return call

    net.layers = [replace(layer, feed_forward=counting(layer.feed_forward)) for layer in net.layers]
    return seen


@pytest.mark.parametrize("name", IN_GGUF)
def test_a_gguf_file_of_the_same_weights_gives_the_same_bits(name: str, tmp_path: Path) -> None:
    g, net = golden(name), network(name)
    file = network(open_checkpoint(as_gguf(open_checkpoint(g.path), tmp_path / "same.gguf")))
    assert isinstance(file, Gemma4)
    hidden = in_chunks(file, g.tokens, 17)
    assert np.array_equal(hidden, in_chunks(net, g.tokens, len(g.tokens)))
    assert np.array_equal(file.logits(hidden), net.logits(hidden))


def of(name: str, **change: Any) -> Any:
    return pytest.param(name, lambda: changed(name, **change), id=f"{name} {'; '.join(map(str, change.values()))}")


ROPE = {"full_attention": {"rope_theta": 1e6}, "sliding_attention": {"rope_theta": 1e4}}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        of("e2b", tensors={"embed_tokens_per_layer.weight": 0.0}),
        of("e2b", tensors={"per_layer_model_projection.weight": 0.0}),
        of("everything", tensors={"per_layer_projection.weight": 0.0}),
        *(of(name, tensors={"layer_scalar": 1.0}) for name in NAMES),
        *(of(name, tensors={"q_norm.weight": 1.0}) for name in NAMES),
        *(of(name, tensors={"k_norm.weight": 1.0}) for name in ("e2b", "31b", "everything")),
        *(
            of(name, tensors={"per_expert_scale": 1.0}) for name in ("26b", "everything")
        ),  # a norm hides that of one alone
        *(of(name, tensors={"router.scale": 1.0}) for name in MIXTURES),
        *(of(name, tensors={"feedforward_layernorm_2.weight": 1.0}) for name in MIXTURES),
        *(of(name, tensors={"feedforward_layernorm_1.weight": 1.0}) for name in MIXTURES),
        of("26b", top_k_experts=2),
        *(of(name, rope_parameters=ROPE) for name in NAMES),
        *(of(name, sliding_window=7) for name in NAMES),
        *(of(name, rms_norm_eps=0.01) for name in NAMES),
        *(of(name, final_logit_softcapping=2.0) for name in NAMES),
    ],
)
def test_every_fact_shows_in_the_logits(name: str, change: Callable[[], Checkpoint]) -> None:
    """What may be left out unnoticed is proved by no golden: each change must move the logits by 100 tolerances."""
    assert_far(name, network(change()))


@pytest.mark.parametrize("name", SHARING)
def test_whose_keys_a_layer_reads_shows_in_the_logits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def first(c: Config, i: int) -> int:
        return min(j for j in range(i + 1) if c.windows[j] == c.windows[i]) if i >= c.owners else i

    net = network(name)
    monkeypatch.setattr(Config, "owner", first)
    assert_far(name, net)


def assert_far(name: str, net: Gemma4) -> None:
    g = golden(name)
    logits = net.logits(in_chunks(net, g.tokens, len(g.tokens)))
    assert np.max(np.abs(logits - g.logits)) / np.max(np.abs(g.logits)) > 100 * TOLERANCE
