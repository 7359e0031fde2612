"""Every feature of Gemma 3n shows in the goldens: without it the logits are at least 100 tolerances off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gemwright import ops
from gemwright.models.gemma3n import ARCHITECTURE, Config, Gemma3n
from gemwright.weights import Tensor, TensorType, open_checkpoint
from support.grouping import in_chunks
from support.tiny_gemma3 import assert_near
from support.tiny_gemma3n import NAMES, golden

TOLERANCE = 1e-4

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Given:
    """Reads this configuration out of every file."""

    config: Config

    def from_hf(self, config: object) -> Config:
        return self.config

    from_gguf = from_hf


def network(name: str, change: Callable[[F32], F32] | None = None, tensors: str = "", **fields: Any) -> Gemma3n:
    """The network of a golden with other fields of its configuration, or with what `change` makes of each tensor whose
    name holds `tensors`."""
    checkpoint = open_checkpoint(golden(name).path)
    found = {key: tensor for key, tensor in checkpoint.tensors.items() if change and tensors in key}
    assert bool(found) == bool(tensors), f"no tensor is called {tensors}"
    changed = {key: of(change(tensor.to_f32())) for key, tensor in found.items()} if change else {}
    config = replace(Config.from_hf(checkpoint.config), **fields)
    checkpoint = replace(checkpoint, tensors={**checkpoint.tensors, **changed})
    net = replace(ARCHITECTURE, config=Given(config)).build(checkpoint, "default")
    assert isinstance(net, Gemma3n)
    net.kv_format = ops.KVFormat.F32
    return net


def of(values: F32) -> Tensor:
    return Tensor("changed", TensorType.F32, values.shape, np.frombuffer(values.tobytes(), np.uint8))


def assert_differs(name: str, net: Gemma3n) -> None:
    g = golden(name)
    with pytest.raises(AssertionError, match="relative error"):
        assert_near(net.logits(in_chunks(net, g.tokens, len(g.tokens))), g.logits, 100 * TOLERANCE)


def first_zeroed(values: F32) -> F32:
    return np.concatenate([np.zeros_like(values[:1]), values[1:]])


@pytest.mark.parametrize("name", NAMES)
def test_without_a_change_nothing_differs(name: str) -> None:
    g, net = golden(name), network(name, np.copy, "embed_tokens_per_layer")
    assert_near(net.logits(in_chunks(net, g.tokens, len(g.tokens))), g.logits, TOLERANCE)


@pytest.mark.parametrize(
    ("tensors", "change"),
    [
        pytest.param("embed_tokens_per_layer", np.zeros_like, id="per-layer embeddings of tokens"),
        pytest.param("per_layer_projection_norm", np.zeros_like, id="per-layer vectors of embeddings"),
        pytest.param("post_per_layer_input_norm", np.zeros_like, id="per-layer vectors altogether"),
        pytest.param("correct_output_scale", np.ones_like, id="scale before the per-layer gate"),
        pytest.param("post_laurel_norm", np.zeros_like, id="LAuReL"),
        pytest.param("prediction_coefs", np.zeros_like, id="AltUp's prediction"),
        pytest.param("correction_coefs", np.zeros_like, id="AltUp's correction"),
        pytest.param("prediction_coefs", lambda w: reordered(w), id="order of AltUp's coefficients"),
        pytest.param("modality_router", np.zeros_like, id="AltUp's router"),
        pytest.param("router_norm", np.ones_like, id="the router's norm"),
        pytest.param("altup_projections", lambda w: np.eye(len(w), dtype=np.float32), id="streams' beginnings"),
        pytest.param("altup_unembed_projections", np.zeros_like, id="streams' ends"),
        pytest.param("q_norm", np.ones_like, id="norm of queries"),
        pytest.param("k_norm", np.ones_like, id="norm of keys"),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_weight_is_used(name: str, tensors: str, change: Callable[[F32], F32]) -> None:
    assert_differs(name, network(name, change, tensors))


def reordered(coefficients: F32) -> F32:
    """The coefficients as if they were stored by input stream, not by output stream."""
    streams = coefficients.shape[1]
    return np.ascontiguousarray(coefficients.reshape(streams, streams, streams).swapaxes(0, 1)).reshape(-1, streams)


@pytest.mark.parametrize("field", [{"local_base": 50.0}, {"global_base": 50.0}, {"eps": 1.0}, {"final_softcap": 0.0}])
@pytest.mark.parametrize("name", NAMES)
def test_every_constant_is_used(name: str, field: dict[str, float]) -> None:
    assert_differs(name, network(name, **field))


@pytest.mark.parametrize("off", [-1, 1])
@pytest.mark.parametrize("name", NAMES)
def test_the_windows_edge_shows(name: str, off: int) -> None:
    windows = network(name).config.windows
    assert_differs(name, network(name, windows=tuple(window + off if window else 0 for window in windows)))


@pytest.mark.parametrize("name", ["patterns", "sliced", "tower"])
def test_gates_are_cut_in_the_layers_that_say_so(name: str) -> None:
    cuts = network(name).config.cuts
    assert_differs(name, network(name, cuts=(None,) * len(cuts)))
    for i, cut in enumerate(cuts):
        other = 1.0 if cut is None else cut + 0.5
        assert_differs(name, network(name, cuts=(*cuts[:i], other, *cuts[i + 1 :])))


def test_a_layer_that_shares_does_not_use_keys_and_values_of_its_own() -> None:
    """Published files have the weights for them: using them is another model."""
    assert_differs("tower", network("tower", owners=12))
    assert_differs("tower", network("tower", owners=7))
    g = golden("tower")
    own = "layers.11.self_attn.k_proj"
    net = network("tower", np.zeros_like, own)
    assert_near(net.logits(in_chunks(net, g.tokens, len(g.tokens))), g.logits, TOLERANCE)


@pytest.mark.parametrize(("name", "layer", "other"), [("sliced", 3, 1), ("tower", 6, 3), ("long", 4, 0)])
def test_a_layer_shares_with_the_last_owner_of_its_kind(name: str, layer: int, other: int) -> None:
    net = network(name)
    assert net.config.windows[layer] == net.config.windows[other]
    assert net._owner[layer] != other
    net._owner[layer] = other
    assert_differs(name, net)


@pytest.mark.parametrize("name", ["patterns", "long", "tower"])
def test_a_token_beyond_the_table_has_the_vector_of_token_0(name: str) -> None:
    g, net = golden(name), network(name, first_zeroed, "embed_tokens_per_layer")
    at = len(g.tokens) - 3
    assert g.tokens[at] >= net.config.per_layer_vocabulary
    logits = net.logits(in_chunks(net, g.tokens, len(g.tokens)))
    with pytest.raises(AssertionError, match="relative error"):
        assert_near(logits[at], g.logits[at], 100 * TOLERANCE)
