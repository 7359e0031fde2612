"""Our engine against transformers on tiny Gemma 3n checkpoints, and against itself however the work is grouped."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gemwright import ops
from gemwright.models import ARCHITECTURES, gemma3n
from gemwright.models.weights import Precision
from gemwright.step import Step
from gemwright.weights import open_checkpoint
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
from support.tiny_gemma3n import FOLDER, LOOK_EVERY, NAMES, golden

TOLERANCE = 1e-4
SEED = 20261126

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]


def network(name: str, precision: Precision = "default") -> gemma3n.Gemma3n:
    checkpoint = open_checkpoint(golden(name).path)
    net = ARCHITECTURES[checkpoint.architecture].build(checkpoint, precision)
    assert isinstance(net, gemma3n.Gemma3n)
    return net


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("precision", ["default", "exact"])
@pytest.mark.parametrize("name", NAMES)
def test_the_engine_computes_what_transformers_computes(name: str, precision: Precision, target: str) -> None:
    ops.use_target(target)
    g = golden(name)
    net = network(name, precision)
    net.kv_format = ops.KVFormat.F32  # transformers keeps float32 too
    hidden = in_chunks(net, g.tokens, len(g.tokens))
    assert_near(hidden, g.hidden, TOLERANCE)
    assert_near(net.logits(hidden), g.logits, TOLERANCE)


@pytest.mark.parametrize("name", NAMES)
def test_the_streams_after_each_layer_are_those_of_transformers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    g, net = golden(name), network(name)
    net.kv_format = ops.KVFormat.F32
    states: list[F32] = []
    block = net._block

    def recording(*arguments: Any) -> F32:
        states.append(block(*arguments))
        return states[-1]

    monkeypatch.setattr(net, "_block", recording)
    in_chunks(net, g.tokens, len(g.tokens))
    for found, expected in zip(states, g.states, strict=True):
        assert_near(found[::LOOK_EVERY], expected, TOLERANCE)


@pytest.mark.parametrize("precision", ["default", "exact"])
@pytest.mark.parametrize("name", NAMES)
def test_a_greedy_answer_is_that_of_transformers(name: str, precision: Precision) -> None:
    """Token by token after the prompt, as a running request goes."""
    g, net = golden(name), network(name, precision)
    net.kv_format = ops.KVFormat.F32
    room = len(g.tokens) + len(g.answer)
    cache = net.new_cache(capacity_tokens=room, max_step_tokens=len(g.tokens), max_sequences=1)
    slot, tokens, at, answer = cache.open(room), g.tokens, 0, []
    for _ in g.answer:
        positions = np.arange(at, at + len(tokens), dtype=np.int32)
        hidden = net.forward(Step(tokens, positions, np.full_like(tokens, slot)), cache, [len(tokens) - 1])
        ids, _ = net.candidates(hidden, 1, net.config.vocabulary)
        tokens, at = ids[0], at + len(tokens)
        answer.append(int(ids[0, 0]))
    assert answer == g.answer.tolist()


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


def test_a_shortened_prompt_leaves_the_cache_as_a_whole_one_does() -> None:
    """What follows a prompt of which only the last state was wanted has the same bits."""
    g, net = golden("sliced"), network("sliced")
    whole, cut = in_chunks(net, g.tokens, len(g.tokens)), 30
    cache = net.new_cache(capacity_tokens=len(g.tokens), max_step_tokens=cut, max_sequences=1)
    slots = np.full(len(g.tokens), cache.open(len(g.tokens)), np.int32)
    step = Step(g.tokens, np.arange(len(g.tokens), dtype=np.int32), slots)
    net.forward(step.only(slice(0, cut)), cache, [cut - 1])
    rest = net.forward(step.only(slice(cut, None)), cache)
    assert np.array_equal(rest, whole[cut:])


@pytest.mark.parametrize("name", NAMES)
def test_the_shortcut_computes_only_wanted_tokens_above_the_last_owner(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    g, net = golden(name), network(name)
    queries: list[int] = []
    attend = ops.attend

    def counting(q: F32, *arguments: Any) -> F32:
        queries.append(len(q))
        return attend(q, *arguments)

    monkeypatch.setattr(ops, "attend", counting)
    count, owners, layers = len(g.tokens), net.config.owners, net.config.layers
    at_once(net, g.tokens, [5, count - 1])
    assert queries == [count] * (owners - 1) + [2] * (layers - owners + 1)
    queries.clear()
    at_once(net, g.tokens, [])
    assert queries == [count] * (owners - 1), "nobody wants a state: the last owner's keys are all that is needed"
    queries.clear()
    net.shortcut = False
    at_once(net, g.tokens, [5, count - 1])
    assert queries == [count] * (layers - 1) + [2]


def test_only_owners_have_a_cache() -> None:
    net = network("sliced")
    assert [layer.window for layer in net.cache_layers()] == [0, 9, 9]
    assert [layer.window for layer in net.attended_layers()] == [0, 9, 9, 9, 0, 0, 9]
    assert [net.config.owner(i) for i in range(7)] == [0, 1, 2, 2, 0, 0, 2]


def test_every_golden_is_in_the_list() -> None:
    assert {path.name for path in FOLDER.iterdir() if path.is_dir()} == set(NAMES)
