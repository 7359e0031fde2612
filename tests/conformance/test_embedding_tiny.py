"""EmbeddingGemma 1 and 2 against transformers on tiny checkpoints, and against themselves however texts are grouped."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gemwright import ops
from gemwright.models.encoder import Batch, Encoder, unit
from gemwright.models.weights import Precision
from support.tiny_embedding import FIRST, NAMES, SECOND, encoder, golden
from support.tiny_gemma3 import assert_near

TOLERANCE = 1e-4
TARGETS = [name for name, usable in ops.targets().items() if usable]
SEED = 20261125


def vector(net: Encoder, tokens: np.ndarray) -> np.ndarray:
    return unit(net.vectors([tokens]))[0]


def moved(found: np.ndarray, expected: np.ndarray) -> bool:
    """By a hundred tolerances and more."""
    return float(np.max(np.abs(found - expected)) / np.max(np.abs(expected))) > 100 * TOLERANCE


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("precision", ["default", "exact"])
@pytest.mark.parametrize("name", NAMES)
def test_the_encoder_computes_what_transformers_computes(name: str, precision: Precision, target: str) -> None:
    ops.use_target(target)
    g, net = golden(name), encoder(name, precision)
    batch = net.batch([g.tokens])
    layers = list(net.passes(batch))
    assert len(layers) == len(g.layers)
    for i, (stream, _) in enumerate(layers):
        assert_near(stream, g.layers[i], TOLERANCE)
    states = net.states(batch)
    assert_near(net.project(states) if name in SECOND else states, g.states, TOLERANCE)
    assert_near(vector(net, g.tokens), g.vector, TOLERANCE)


@pytest.mark.parametrize("name", NAMES)
def test_texts_that_share_a_step_get_the_bits_they_get_alone(name: str) -> None:
    g, net = golden(name), encoder(name)
    rng = np.random.default_rng(SEED)
    lengths = (1, 33, 2, 64, len(g.tokens) // 2, 31, 32)
    texts = [g.tokens] + [rng.integers(0, net.config.vocabulary, n).astype(np.int32) for n in lengths]
    alone = [net.vectors([text])[0] for text in texts]
    for order in (range(len(texts)), [*range(len(texts))][::-1], rng.permutation(len(texts))):
        together = net.vectors([texts[i] for i in order])
        for row, i in zip(together, order, strict=True):
            assert np.array_equal(row, alone[i]), f"text {i} in the order {[*order]}, seed {SEED}"


@pytest.mark.parametrize("name", NAMES)
def test_threads_and_cpu_targets_do_not_change_a_bit(name: str) -> None:
    g, net = golden(name), encoder(name)
    texts = [g.tokens, g.tokens[:7], g.tokens[3:]]
    ops.set_threads(1)
    ops.use_target("scalar")
    expected = unit(net.vectors(texts))
    for target in TARGETS:
        ops.use_target(target)
        for threads in (1, 2, 3):
            ops.set_threads(threads)
            assert np.array_equal(unit(net.vectors(texts)), expected), f"{target}, {threads} threads"


def test_callers_at_the_same_time_get_the_bits_of_one_alone() -> None:
    net, g = encoder("long"), golden("long")
    texts = [g.tokens[: 20 + 31 * i] for i in range(8)]
    alone = [net.vectors([text])[0] for text in texts]
    found: list[Any] = [None] * len(texts)

    def compute(i: int) -> None:
        found[i] = [net.vectors([texts[i]])[0] for _ in range(5)]

    callers = [threading.Thread(target=compute, args=(i,)) for i in range(len(texts))]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    for i, rows in enumerate(found):
        assert all(np.array_equal(row, alone[i]) for row in rows)


class Causal(Batch):
    """A step in which nobody sees what follows."""

    def reach(self, window: int) -> np.ndarray:
        return self.step.positions


@pytest.mark.parametrize("name", NAMES)
def test_without_what_follows_a_token_the_states_are_others(name: str) -> None:
    g, net = golden(name), encoder(name)
    states = net.states(Causal(**vars(net.batch([g.tokens]))))
    assert moved(net.project(states) if name in SECOND else states, g.states)


@pytest.mark.parametrize("change", [-1, 1])
@pytest.mark.parametrize("name", NAMES)
def test_a_radius_of_one_more_or_less_gives_other_states(name: str, change: int) -> None:
    g, net = golden(name), encoder(name)
    c: Any = net.config
    if name in FIRST:
        windows = tuple(window and window + change for window in c.layers.windows)
        net._config = replace(c, layers=replace(c.layers, windows=windows))
    else:
        shapes = tuple(shape._replace(window=shape.window and shape.window + change) for shape in c.shapes)
        net._config = replace(c, shapes=shapes)
    states = net.states(net.batch([g.tokens]))
    assert moved(net.project(states) if name in SECOND else states, g.states)


@pytest.mark.parametrize("name", NAMES)
def test_without_eos_the_vector_is_another(name: str) -> None:
    g, net = golden(name), encoder(name)
    assert moved(vector(net, g.tokens[:-1]), g.vector)


@pytest.mark.parametrize("name", FIRST)
def test_without_either_dense_head_the_vector_is_another(name: str) -> None:
    g, net = golden(name), encoder(name)
    (half,) = ops.linear(np.float32(1) * net.states(net.batch([g.tokens])), net.dense_2)
    assert half.shape[1] != len(g.vector)
    means = net.states(net.batch([g.tokens])).mean(axis=0)
    for other in (means, half.mean(axis=0)):
        width = min(len(other), len(g.vector))
        assert moved(unit(other[None, :width])[0], unit(g.vector[None, :width])[0])


@pytest.mark.parametrize("name", SECOND)
@pytest.mark.parametrize("feature", ["scalar", "signal", "mix", "v_norm"])
def test_every_feature_of_the_second_counts(name: str, feature: str, monkeypatch: pytest.MonkeyPatch) -> None:
    g, net = golden(name), encoder(name)
    if feature == "scalar":
        net.layers[0] = replace(net.layers[0], scalar=np.float32(1))
    elif feature == "mix":
        net.layers[-1] = replace(net.layers[-1], mix_out=np.zeros_like(net.layers[-1].mix_out))
    elif feature == "signal":
        net.signal_norm = np.ones_like(net.signal_norm)
    else:
        norm = ops.rms_norm
        monkeypatch.setattr(ops, "rms_norm", lambda x, w, eps: x if x.ndim == 3 and (w == 1).all() else norm(x, w, eps))
    assert moved(vector(net, g.tokens), g.vector)


def test_the_goldens_cross_their_windows_on_both_sides() -> None:
    for name in NAMES:
        shapes = encoder(name).shapes()
        windows = {shape.window for shape in shapes if shape.window}
        assert windows
        assert all(len(golden(name).tokens) > 2 * window for window in windows), name
