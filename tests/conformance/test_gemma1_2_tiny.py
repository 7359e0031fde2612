"""Gemma 1, Gemma 2 and VaultGemma against transformers on tiny checkpoints, and against themselves however the work is
grouped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gemwright import ops
from gemwright.errors import UnsupportedModel
from gemwright.models import ARCHITECTURES, Network
from gemwright.models.weights import Precision
from gemwright.step import F32, I32
from gemwright.weights import Checkpoint, open_checkpoint
from support.altered import with_config, with_zeros, write_gguf
from support.grouping import in_chunks
from support.promises import (
    TARGETS,
    assert_chunks_change_nothing,
    assert_company_changes_nothing,
    assert_rows_are_those_of_the_whole,
    assert_threads_and_targets_change_nothing,
)
from support.tiny_gemma1_2 import FOLDER, GEMMA1, GEMMA2, NAMES, golden
from support.tiny_gemma3 import assert_near

TOLERANCE = 1e-4
SEED = 20261125
IN_GGUF = [*GEMMA1, "gemma2_bare", "gemma2_27b"]
CAPPED = ["gemma2_grouped", "gemma2_irregular", "gemma2_27b", "vaultgemma"]


def built(checkpoint: Checkpoint, precision: Precision = "default") -> Network:
    """Keys and values in float32, as transformers keeps them."""
    net = ARCHITECTURES[checkpoint.architecture].build(checkpoint, precision)
    net.kv_format = ops.KVFormat.F32
    return net


def network(name: str, precision: Precision = "default") -> Network:
    return built(open_checkpoint(golden(name).path), precision)


def states(net: Any, tokens: I32) -> list[F32]:
    """The stream after each layer, float32[T, D]."""
    seen: list[F32] = []
    block: Callable[..., tuple[F32, F32]] = net._block

    def recording(*args: Any) -> tuple[F32, F32]:
        x, normed = block(*args)
        seen.append(x)
        return x, normed

    net._block = recording
    in_chunks(net, tokens, len(tokens))
    return seen


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
def test_the_stream_after_every_layer_is_that_of_transformers(name: str) -> None:
    g = golden(name)
    found = states(network(name), g.tokens)
    assert len(found) == len(g.layers) + 1
    for ours, theirs in zip(found, g.layers, strict=False):
        assert_near(ours[-len(theirs) :], theirs, TOLERANCE)


@pytest.mark.parametrize("precision", ["default", "exact"])
@pytest.mark.parametrize("name", NAMES)
def test_the_most_likely_continuation_is_that_of_transformers(name: str, precision: Precision) -> None:
    g, net = golden(name), network(name, precision)
    text = g.tokens
    for _ in g.answer:
        (best,), _ = net.candidates(in_chunks(net, text, 16)[-1:], 1, net.config.vocabulary)
        text = np.append(text, best).astype(np.int32)
    assert text[len(g.tokens) :].tolist() == g.answer.tolist()


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


# Formats


@pytest.mark.parametrize("precision", ["default", "exact"])
@pytest.mark.parametrize("name", IN_GGUF)
def test_the_same_weights_in_gguf_give_the_same_bits(tmp_path: Path, name: str, precision: Precision) -> None:
    g = golden(name)
    checkpoint = open_checkpoint(g.path)
    file = open_checkpoint(write_gguf(checkpoint, tmp_path / "made.gguf"))
    ours, theirs = built(file, precision), built(checkpoint, precision)
    hidden = in_chunks(ours, g.tokens, len(g.tokens))
    assert np.array_equal(hidden, in_chunks(theirs, g.tokens, len(g.tokens)))
    assert np.array_equal(ours.logits(hidden), theirs.logits(hidden))


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(IN_GGUF)))
def test_what_a_gguf_file_cannot_say_is_not_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnsupportedModel, match="GGUF"):
        write_gguf(open_checkpoint(golden(name).path), tmp_path / "made.gguf")


# Ablations: what a golden does not feel, it proves nothing about


def assert_moves(name: str, change: Callable[[Checkpoint], Checkpoint]) -> None:
    """The changed checkpoint is 100 tolerances off at least."""
    g = golden(name)
    net = built(change(open_checkpoint(g.path)))
    with pytest.raises(AssertionError, match="relative error"):
        assert_near(net.logits(in_chunks(net, g.tokens, len(g.tokens))), g.logits, 100 * TOLERANCE)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"rope_theta": 1.5, "rope_parameters": None}, id="base"),
        pytest.param({"rms_norm_eps": 0.1}, id="eps"),
    ],
)
def test_base_and_eps_show_in_the_goldens(name: str, change: Mapping[str, Any]) -> None:
    assert_moves(name, lambda checkpoint: with_config(checkpoint, change))


@pytest.mark.parametrize("name", [*GEMMA2, "vaultgemma"])
def test_windows_and_scale_show_in_the_goldens(name: str) -> None:
    config = open_checkpoint(golden(name).path).config
    layers, window = config["num_hidden_layers"], config["sliding_window"]
    for off in (-1, 1):
        assert_moves(name, lambda checkpoint, off=off: with_config(checkpoint, {"sliding_window": window + off}))
    for kind in ("full_attention", "sliding_attention"):
        assert_moves(name, lambda checkpoint, kind=kind: with_config(checkpoint, {"layer_types": [kind] * layers}))
    scalar = 2 * config["query_pre_attn_scalar"]
    assert_moves(name, lambda checkpoint: with_config(checkpoint, {"query_pre_attn_scalar": scalar}))


@pytest.mark.parametrize("name", CAPPED)
@pytest.mark.parametrize("key", ["attn_logit_softcapping", "final_logit_softcapping"])
def test_soft_caps_show_in_the_goldens(name: str, key: str) -> None:
    assert_moves(name, lambda checkpoint: with_config(checkpoint, {key: None}))


@pytest.mark.parametrize("name", NAMES)
def test_every_tensor_of_a_layer_shows_in_the_goldens(name: str) -> None:
    checkpoint = open_checkpoint(golden(name).path)
    ends = [key.removeprefix("model.layers.1") for key in checkpoint.tensors if key.startswith("model.layers.1.")]
    assert len(ends) == (11 if name in GEMMA2 else 9)
    for end in [*ends, "model.norm.weight"]:
        assert_moves(name, lambda checkpoint, end=end: with_zeros(checkpoint, end))


def test_every_golden_is_in_the_list() -> None:
    assert {path.name for path in FOLDER.iterdir() if path.is_dir()} == set(NAMES)
