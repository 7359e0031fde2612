"""What a Gemma 4 file may say of itself, and what is refused before a weight is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gemwright.errors import CheckpointMismatch, GemwrightError, ModelFormatError, UnsupportedModel
from gemwright.models import ARCHITECTURES, describe
from gemwright.models.gemma4 import Config, gguf_metadata
from gemwright.models.gemma4_config import Experts, Heads
from gemwright.weights import Checkpoint, Tensor, TensorType, open_checkpoint
from support.tiny_gemma4 import IN_GGUF, NAMES, as_gguf, changed, golden

LOCAL, GLOBAL = "sliding_attention", "full_attention"


def opened(name: str) -> Checkpoint:
    return open_checkpoint(golden(name).path)


def test_the_published_sizes_are_read() -> None:
    """Numbers of google/gemma-4-26B-A4B and E2B as the converter of transformers has them."""
    c = Config.from_hf(
        {
            "model_type": "gemma4",
            "text_config": {
                "model_type": "gemma4_text",
                "hidden_size": 2816,
                "intermediate_size": 2112,
                "num_hidden_layers": 30,
                "num_attention_heads": 16,
                "num_key_value_heads": 8,
                "num_global_key_value_heads": 2,
                "attention_k_eq_v": True,
                "hidden_size_per_layer_input": 0,
                "sliding_window": 1024,
                "max_position_embeddings": 262_144,
                "final_logit_softcapping": 30.0,
                "enable_moe_block": True,
                "num_experts": 128,
                "top_k_experts": 8,
                "moe_intermediate_size": 704,
            },
        }
    )
    assert c.windows == ((1024,) * 5 + (0,)) * 5
    assert c.nearby == Heads(8, 256, 10_000.0, 128, ("k", "v"))
    assert c.everywhere == Heads(2, 512, 1_000_000.0, 64, ("k",))
    assert (c.experts, c.owners, c.per_layer_width) == (Experts(128, 8, 704), 30, 0)

    layers = ([LOCAL] * 4 + [GLOBAL]) * 7
    text = {"num_hidden_layers": 35, "layer_types": layers, "num_key_value_heads": 1, "num_kv_shared_layers": 20}
    c = Config.from_hf({"model_type": "gemma4_text", "intermediate_size": 6144, "use_double_wide_mlp": True, **text})
    assert c.feed_forward == (6144,) * 15 + (12_288,) * 20
    assert (c.owner(12), c.owner(15), c.owner(19), c.owner(34)) == (12, 13, 14, 14)
    assert (c.everywhere.kv_heads, c.per_layer_width, c.windows[0]) == (1, 256, 512)


def test_a_unified_model_has_its_own_defaults() -> None:
    c = Config.from_hf({"model_type": "gemma4_unified", "text_config": {}})
    assert (c.windows[0], c.context_tokens, c.per_layer_width) == (1024, 262_144, 0)


@pytest.mark.parametrize("name", IN_GGUF)
def test_gguf_keys_say_the_same(name: str, tmp_path: Path) -> None:
    c = Config.from_hf(opened(name).config)
    stored = Config.from_gguf(open_checkpoint(as_gguf(opened(name), tmp_path / "a.gguf")).config)
    assert replace(stored, eps=c.eps) == c
    assert stored.eps == np.float32(c.eps)


def test_what_gguf_cannot_say_is_not_written() -> None:
    with pytest.raises(UnsupportedModel, match="GGUF"):
        gguf_metadata(Config.from_hf(opened("31b").config))  # 0.4 of a head turns
    c = Config.from_hf(opened("e2b").config)
    with pytest.raises(UnsupportedModel, match="GGUF"):
        gguf_metadata(replace(c, nearby=c.nearby._replace(turned=1)))


def bad(name: str, says: str, error: type[GemwrightError] = ModelFormatError, **config: Any) -> Any:
    return pytest.param(name, config, error, says, id=f"{name} {config}"[:80])


@pytest.mark.parametrize(
    ("name", "config", "error", "says"),
    [
        bad("e2b", "between 1 and 6", num_kv_shared_layers=7),
        bad("e2b", "num_kv_shared_layers = 8", num_kv_shared_layers=8),
        bad("e2b", "num_kv_shared_layers = -1", num_kv_shared_layers=-1),
        bad("e2b", "no layer of the same kind", num_kv_shared_layers=5),
        bad("e2b", "layer_types", layer_types=[LOCAL, GLOBAL]),
        bad("e2b", "layer_types", layer_types=["chunked_attention"] * 7),
        bad("e2b", "ends with a global", layer_types=[LOCAL, GLOBAL, LOCAL, LOCAL, LOCAL, LOCAL, LOCAL]),
        bad("e2b", "another vocabulary", UnsupportedModel, vocab_size_per_layer_input=262_144),
        bad("e2b", "vocab_size", vocab_size="many"),
        bad("e2b", "hidden_size_per_layer_input", hidden_size_per_layer_input=True),
        bad("e2b", "use_double_wide_mlp", UnsupportedModel, use_double_wide_mlp="yes"),
        bad("e2b", "use_bidirectional_attention", UnsupportedModel, use_bidirectional_attention="all"),
        bad("e2b", "attention_bias", UnsupportedModel, attention_bias=True),
        bad("e2b", "hidden_activation", UnsupportedModel, hidden_activation="silu"),
        bad("e2b", "tie_word_embeddings", UnsupportedModel, tie_word_embeddings=False),
        bad("e2b", "final_logit_softcapping", final_logit_softcapping=-30.0),
        bad("e2b", "rms_norm_eps", rms_norm_eps=0),
        bad("e2b", "heads must divide", num_attention_heads=4, num_key_value_heads=3),
        bad("e2b", "width must be even", head_dim=7),
        bad("e2b", "num_hidden_layers", num_hidden_layers=10**9),
        bad("e2b", "sliding_window", sliding_window=0),
        bad("31b", "sliding_attention and full_attention", rope_parameters={"rope_theta": 1e6}),
        bad("31b", "rope_theta", rope_parameters={LOCAL: {}, GLOBAL: {}}),
        bad(
            "31b",
            "scales rope",
            UnsupportedModel,
            rope_parameters={LOCAL: {"rope_theta": 1.0}, GLOBAL: {"rope_type": "yarn", "rope_theta": 1.0}},
        ),
        bad(
            "31b",
            "turned pairs",
            rope_parameters={
                LOCAL: {"rope_theta": 1.0},
                GLOBAL: {"rope_type": "proportional", "partial_rotary_factor": 1.2, "rope_theta": 1.0},
            },
        ),
        bad("12b", "enable_moe_block", UnsupportedModel, enable_moe_block=True),
        bad("12b", "hidden_size_per_layer_input", UnsupportedModel, hidden_size_per_layer_input=8),
        bad("12b", "per_layer_config", UnsupportedModel, per_layer_config={"2": {"head_dim": 8}}),
        bad("12b", "per_layer_config", UnsupportedModel, per_layer_config={"5": {"hidden_size": 8}}),
        bad("12b", "per_layer_config", per_layer_config=3),
        bad("26b", "experts used of 7 = 8", top_k_experts=8),
        bad("26b", "top_k_experts = 0", top_k_experts=0),
        bad("26b", "num_experts", num_experts=None),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(
    name: str, config: dict[str, Any], error: type[GemwrightError], says: str
) -> None:
    with pytest.raises(error, match=says):
        describe(changed(name, **config))


@pytest.mark.parametrize(
    ("name", "keys", "error", "says"),
    [
        ("e2b", {"attention__sliding_window_pattern": np.ones(3, np.bool_)}, ModelFormatError, "each of 7 layers"),
        ("e2b", {"attention__sliding_window_pattern": 6}, ModelFormatError, "each of 7 layers"),
        ("e2b", {"feed_forward_length": np.ones(3, np.int32)}, ModelFormatError, "feed_forward_length has 3"),
        ("e2b", {"feed_forward_length": np.full(7, -1, np.int32)}, ModelFormatError, "feed_forward_length = -1"),
        ("e2b", {"attention__shared_kv_layers": 9}, ModelFormatError, "shared_kv_layers = 9"),
        ("e2b", {"attention__value_length": 8}, UnsupportedModel, "value_length is 8"),
        ("e2b", {"rope__dimension_count": 4}, UnsupportedModel, "dimension_count is 4"),
        ("e2b", {"attention__key_length_swa": None}, ModelFormatError, "key_length_swa is missing"),
        ("e2b", {"block_count": 6}, ModelFormatError, "6 layers"),
        ("e2b", {"feed_forward_length": 14}, CheckpointMismatch, "ffn_gate"),
        ("e2b", {"embedding_length_per_layer_input": 0}, CheckpointMismatch, "not part of this architecture"),
        ("12b", {"attention__head_count_kv": 4}, CheckpointMismatch, "attn_v"),
        ("12b", {"attention__head_count_kv": np.array([4, 2, 4, 4, 4, 1], np.int32)}, UnsupportedModel, "key heads"),
        ("26b", {"expert_used_count": 8}, ModelFormatError, "experts used of 7 = 8"),
        ("26b", {"expert_count": 0}, CheckpointMismatch, "not part of this architecture"),
        ("26b", {"expert_feed_forward_length": np.array([16, 16, 16, 32])}, UnsupportedModel, "expert widths"),
    ],
)
def test_metadata_that_cannot_be_is_refused(
    tmp_path: Path, name: str, keys: dict[str, Any], error: type[GemwrightError], says: str
) -> None:
    path = as_gguf(opened(name), tmp_path / "bad.gguf", **keys)
    with pytest.raises(error, match=says):
        describe(open_checkpoint(path))


def with_factors(path: Path, factors: np.ndarray | None) -> Checkpoint:
    """The file, but for `rope_freqs.weight`."""
    checkpoint = open_checkpoint(path)
    tensors = {name: tensor for name, tensor in checkpoint.tensors.items() if name != "rope_freqs.weight"}
    if factors is not None:
        data = factors.astype(np.float32).view(np.uint8)
        tensors["rope_freqs.weight"] = Tensor("rope_freqs.weight", TensorType.F32, factors.shape, data)
    return replace(checkpoint, tensors=tensors)


@pytest.mark.parametrize("factors", [None, np.ones(10), np.array([1.0] * 3 + [1e30] * 7), np.array([1.0, 1.0, 1e30])])
def test_another_rope_than_the_model_computes_is_refused(tmp_path: Path, factors: np.ndarray | None) -> None:
    path = as_gguf(opened("e2b"), tmp_path / "a.gguf")
    with pytest.raises(CheckpointMismatch, match=r"rope_freqs\.weight"):
        describe(with_factors(path, factors))
    describe(with_factors(path, np.array([1.0] * 2 + [1e30] * 8)))


@pytest.mark.parametrize("name", NAMES)
def test_a_tensor_too_few_or_too_many_is_refused(name: str) -> None:
    checkpoint = opened(name)
    for key in checkpoint.tensors:
        rest = {k: t for k, t in checkpoint.tensors.items() if k != key}
        if not _is_of_something_else(name, key):
            with pytest.raises(CheckpointMismatch, match="missing"):
                describe(replace(checkpoint, tensors=rest))
    more = Tensor("model.layers.0.mlp.bias", TensorType.F32, (1,), np.zeros(4, np.uint8))
    with pytest.raises(CheckpointMismatch, match=r"mlp\.bias"):
        describe(replace(checkpoint, tensors={**checkpoint.tensors, more.name: more}))


def test_keys_that_sharing_layers_do_not_use_may_be_left_over_in_gguf_too(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(as_gguf(opened("e2b"), tmp_path / "a.gguf"))
    for name, fits in (
        ("blk.4.attn_k.weight", True),
        ("blk.6.attn_k_norm.weight", True),
        ("blk.3.attn_x.weight", False),
    ):
        more = replace(checkpoint.tensors["blk.0.attn_k.weight"], name=name)
        extended = replace(checkpoint, tensors={**checkpoint.tensors, name: more})
        if fits:
            describe(extended)
        else:
            with pytest.raises(CheckpointMismatch, match=name):
                describe(extended)


def _is_of_something_else(name: str, key: str) -> bool:
    """Whether the text model does without it: other senses, and keys that sharing layers of e4b do not use."""
    shared = name == "e4b" and any(f"layers.{i}.self_attn.{part}" in key for i in (6, 7) for part in "kv")
    return shared or any(sense in key for sense in ("vision", "audio"))


def test_experts_of_a_width_that_is_no_whole_tile_are_refused() -> None:
    checkpoint = changed("26b", moe_intermediate_size=8)
    tensors = dict(checkpoint.tensors)
    for i in range(4):
        for key, shape in (("gate_up_proj", (7, 16, 32)), ("down_proj", (7, 32, 8))):
            tensor = tensors[f"model.layers.{i}.experts.{key}"]
            size = int(np.prod(shape)) * 2
            tensors[tensor.name] = replace(tensor, shape=shape, data=tensor.data[:size])
    with pytest.raises(UnsupportedModel, match="multiple of 16 rows, not 8"):
        ARCHITECTURES["gemma4"].build(replace(checkpoint, tensors=tensors), "default")
