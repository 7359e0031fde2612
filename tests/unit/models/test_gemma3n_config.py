"""What a Gemma 3n file may say of itself, and what is refused before a weight is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gemwright.errors import CheckpointMismatch, ModelFormatError, UnsupportedModel
from gemwright.models import ARCHITECTURES
from gemwright.models.gemma3n import Config
from gemwright.models.gemma3n_gguf import gguf_metadata
from gemwright.weights import open_checkpoint
from support.safetensors_writer import bf16, safetensors
from support.small_gemma3n import CONFIG, small_arrays, small_model


def hf(**changes: Any) -> Config:
    return Config.from_hf({**CONFIG, "vocab_size": 300, "vocab_size_per_layer_input": 295, **changes})


def metadata(**changes: Any) -> dict[str, Any]:
    """Of the same model, as GGUF keys; "__" stands for a dot, and None takes a key away."""
    keys = {**gguf_metadata(hf()), "tokenizer.ggml.token_type": np.ones(300, np.int32)}
    keys |= {f"gemma3n.{name.replace('__', '.')}": value for name, value in changes.items()}
    return {key: value for key, value in keys.items() if value is not None}


def test_an_empty_configuration_is_the_e4b() -> None:
    c = Config.from_hf({"model_type": "gemma3n", "text_config": {}})
    assert (c.layers, c.hidden, c.owners, c.streams, c.laurel_rank) == (35, 2048, 20, 4, 64)
    assert (c.vocabulary, c.per_layer_vocabulary, c.per_layer_width) == (262_400, 262_144, 256)
    assert c.windows == (512, 512, 512, 512, 0) * 7
    assert [c.owner(i) for i in (17, 20, 24, 33, 34)] == [17, 18, 19, 18, 19]
    assert c.feed_forward == (16_384,) * 35
    assert c.cuts[:10] == pytest.approx([1.6448536] * 10)
    assert c.cuts[10:] == (None,) * 25
    assert (c.global_base, c.local_base, c.final_softcap) == (1e6, 1e4, 30.0)


def test_a_bare_gguf_file_of_30_layers_is_the_e2b() -> None:
    """Old files lack most keys; llama.cpp knows what they mean."""
    sizes = {"block_count": 30, "embedding_length": 2048, "feed_forward_length": 8192}
    heads = {"attention.head_count": 8, "attention.head_count_kv": 2, "attention.layer_norm_rms_epsilon": 1e-6}
    c = Config.from_gguf({f"gemma3n.{key}": value for key, value in (sizes | heads).items()})
    e2b = {"num_hidden_layers": 30, "intermediate_size": 8192, "num_kv_shared_layers": 10}
    assert replace(c, per_layer_vocabulary=262_144) == Config.from_hf({"text_config": e2b})


def test_the_shared_layers_may_be_counted_in_a_float() -> None:
    """Published files do."""
    assert Config.from_gguf(metadata(attention__shared_kv_layers=2.0)).owners == 4
    assert Config.from_gguf(metadata(attention__shared_kv_layers=0)).owners == 6


def test_metadata_and_configuration_are_each_others_inverse() -> None:
    c = Config.from_gguf(metadata())
    assert Config.from_gguf({**gguf_metadata(c), "tokenizer.ggml.token_type": np.ones(300, np.int32)}) == c


def test_the_period_of_the_windows_may_be_a_number() -> None:
    assert Config.from_gguf(metadata(attention__sliding_window_pattern=3)).windows == (16, 16, 0) * 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_kv_shared_layers": 6}, "6 share keys and values, which leaves none"),
        ({"num_kv_shared_layers": 7}, "num_kv_shared_layers = 7"),
        ({"num_kv_shared_layers": 3}, "leaves none of their kind"),
        ({"intermediate_size": [96] * 5}, "intermediate_size has 5 values.*6 layers"),
        ({"intermediate_size": [96] * 5 + ["96"]}, "intermediate_size is '96'"),
        ({"activation_sparsity_pattern": [0.9] * 5}, "activation_sparsity_pattern.*6 layers"),
        ({"activation_sparsity_pattern": [1.0] * 6}, "activation_sparsity_pattern"),
        ({"activation_sparsity_pattern": [True] * 6}, "activation_sparsity_pattern"),
        ({"activation_sparsity_pattern": 0.9}, "activation_sparsity_pattern"),
        ({"vocab_size_per_layer_input": 301}, "tokens with per-layer embeddings = 301"),
        ({"hidden_size_per_layer_input": 1 << 17}, "width of all per-layer embeddings"),
        ({"altup_num_inputs": 1 << 10}, "streams = 1024"),
        ({"layer_types": ["full_attention"] * 5}, "layer_types must name 6 layers"),
        ({"num_attention_heads": 3, "num_key_value_heads": 2}, "heads must divide evenly"),
        ({"head_dim": 31}, "width must be even"),
        ({"rope_parameters": [1]}, "rope_parameters is not an object"),
        ({"rope_parameters": {"full_attention": 3}}, "full_attention of rope_parameters"),
        ({"final_logit_softcapping": -1.0}, "final_logit_softcapping"),
        ({"num_hidden_layers": 1 << 20}, "num_hidden_layers"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelFormatError, match=message):
        hf(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"altup_active_idx": 1},
        {"altup_correct_scale": False},
        {"altup_num_inputs": 1},
        {"attention_bias": True},
        {"hidden_activation": "relu"},
        {"rope_scaling": {"rope_type": "linear", "factor": 8.0}},
        {"rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 8.0}}},
        {"tie_word_embeddings": False},
    ],
)
def test_a_model_that_computes_otherwise_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedModel):
        hf(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"feed_forward_length": np.array([96] * 5, np.int32)}, "feed_forward_length has 5 values"),
        ({"feed_forward_length": np.array([96] * 5 + [0], np.int32)}, "feed_forward_length = 0"),
        ({"activation_sparsity_scale": np.zeros(5, np.float32)}, "activation_sparsity_scale.*6 layers"),
        ({"activation_sparsity_scale": np.full(6, np.nan, np.float32)}, "neither a number nor -inf"),
        ({"activation_sparsity_scale": np.full(6, np.inf, np.float32)}, "neither a number nor -inf"),
        ({"activation_sparsity_scale": 1.6}, "activation_sparsity_scale"),
        ({"attention__sliding_window_pattern": np.ones(5, np.bool_)}, "sliding_window_pattern.*6 layers"),
        ({"attention__sliding_window_pattern": np.ones(6, np.int32)}, "sliding_window_pattern"),
        ({"attention__shared_kv_layers": 2.5}, "shared_kv_layers is 2.5"),
        ({"attention__shared_kv_layers": 6}, "leaves none"),
        ({"attention__value_length": 16}, "differ in width"),
        ({"altup__active_idx": 2}, "active stream"),
        ({"rope__scaling__type": "linear"}, "scales the positions"),
        ({"block_count": 1 << 20}, "block_count"),
        ({"block_count": None}, "block_count is missing"),
    ],
)
def test_metadata_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises((ModelFormatError, UnsupportedModel), match=message):
        Config.from_gguf(metadata(**changes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.pop("model.layers.2.altup.modality_router.weight"), "modality_router.*missing"),
        (lambda arrays: arrays.pop("model.layers.3.self_attn.k_proj.weight"), "layers.3.self_attn.k_proj.*missing"),
        (lambda arrays: arrays.pop("model.altup_projections.1.weight"), "altup_projections.1.*missing"),
        (lambda arrays: arrays.update({"model.altup_projections.3.weight": np.ones((64, 64), "<f4")}), "not part"),
        (lambda arrays: arrays.update({"model.layers.0.mlp.up_proj.weight": np.ones((64, 64), "<f4")}), "has shape"),
        (lambda arrays: arrays.update({"model.layers.5.self_attn.k_norm.weight": np.ones(5, "<f4")}), "has shape"),
        (lambda arrays: arrays.update({"model.layers.6.input_layernorm.weight": np.ones(64, "<f4")}), "not part"),
    ],
)
def test_tensors_that_do_not_fit_are_named_before_any_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    path = small_model(tmp_path)
    arrays = small_arrays(json.loads((path / "config.json").read_text("utf-8")))
    change(arrays)
    (path / "model.safetensors").write_bytes(safetensors({name: bf16(x) for name, x in arrays.items()}))
    checkpoint = open_checkpoint(path)
    monkeypatch.setattr("gemwright.ops.Matrix", None)
    with pytest.raises(CheckpointMismatch, match=message):
        ARCHITECTURES[checkpoint.architecture].build(checkpoint, "default")


def test_other_senses_are_left_alone(tmp_path: Path) -> None:
    path = small_model(tmp_path)
    arrays = small_arrays(json.loads((path / "config.json").read_text("utf-8")))
    towers = ("vision_tower.timm_model.x", "audio_tower.x", "embed_vision.x", "embed_audio.x")
    arrays |= {f"model.{name}": np.ones(3, np.float32) for name in towers}
    (path / "model.safetensors").write_bytes(safetensors({name: bf16(x) for name, x in arrays.items()}))
    ARCHITECTURES["gemma3n"].build(open_checkpoint(path), "default")
