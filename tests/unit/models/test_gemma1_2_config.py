"""The configurations of Gemma 1, Gemma 2 and VaultGemma: published sizes, defaults, and files that are wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import MODEL_ARCH, MODEL_ARCH_NAMES, Keys, get_tensor_name_map

from gemwright.errors import CheckpointMismatch, ModelFormatError, UnsupportedModel
from gemwright.models import ARCHITECTURES, describe, gemma1, gemma2
from gemwright.models.gemma1_config import gguf_metadata as gguf_metadata_1
from gemwright.models.gemma2_config import gguf_metadata as gguf_metadata_2
from gemwright.models.reading import equal_in_float32
from gemwright.weights import Checkpoint, Tensor, open_checkpoint
from support.altered import with_config, with_tensors, write_gguf
from support.small_gemma1_2 import small_model
from support.tiny_gemma1_2 import golden

GEMMA_2B = {
    "model_type": "gemma",
    "hidden_act": "gelu",
    "hidden_activation": None,
    "hidden_size": 2048,
    "intermediate_size": 16_384,
    "num_hidden_layers": 18,
    "num_attention_heads": 8,
    "num_key_value_heads": 1,
    "head_dim": 256,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-06,
    "rope_scaling": None,
    "rope_theta": 10000.0,
    "vocab_size": 256_000,
}
GEMMA_2_27B = {
    "model_type": "gemma2",
    "hidden_act": "gelu_pytorch_tanh",
    "hidden_activation": "gelu_pytorch_tanh",
    "hidden_size": 4608,
    "intermediate_size": 36_864,
    "num_hidden_layers": 46,
    "num_attention_heads": 32,
    "num_key_value_heads": 16,
    "head_dim": 128,
    "query_pre_attn_scalar": 144,
    "attn_logit_softcapping": 50.0,
    "final_logit_softcapping": 30.0,
    "sliding_window": 4096,
    "cache_implementation": "hybrid",
    "vocab_size": 256_000,
}
EMPTY = np.empty(0, np.uint8)


def test_gemma_1_is_the_2b_of_its_config_and_the_7b_of_the_defaults() -> None:
    small, large = gemma1.Config.from_hf(GEMMA_2B), gemma1.Config.from_hf({"model_type": "gemma"})
    assert (small.layers, small.hidden, small.heads, small.kv_heads, small.head_dim) == (18, 2048, 8, 1, 256)
    assert (large.layers, large.hidden, large.heads, large.kv_heads, large.head_dim) == (28, 3072, 16, 16, 256)
    assert (large.feed_forward, large.vocabulary, large.context_tokens) == (24_576, 256_000, 8192)
    assert (large.eps, large.rope_base) == (1e-6, 10_000.0)


def test_gemma_2_is_the_27b_of_its_config_and_the_2b_of_the_defaults() -> None:
    small, large = gemma2.Config.from_hf({"model_type": "gemma2"}), gemma2.Config.from_hf(GEMMA_2_27B)
    assert (small.layers, small.hidden, small.heads, small.kv_heads, small.head_dim) == (26, 2304, 8, 4, 256)
    assert small.windows[:4] == (4096, 0, 4096, 0), "local layers are the even ones"
    assert (small.attention_softcap, small.final_softcap, small.query_scale) == (50.0, 30.0, 1 / 16)
    assert large.query_scale == 1 / 12, "144, the hidden width over the heads; a head is 128 wide"
    assert large.windows == (4096, 0) * 23


@pytest.mark.parametrize("hf", [GEMMA_2_27B, {"model_type": "gemma2"}])
def test_old_gguf_files_of_gemma_2_lack_what_the_defaults_say(hf: Mapping[str, Any]) -> None:
    config = gemma2.Config.from_hf(hf)
    sizes = {
        key: value
        for key, value in gguf_metadata_2(config).items()
        if not key.endswith(("softcapping", "sliding_window", "freq_base", "epsilon", "context_length"))
    }
    assert equal_in_float32(vars(gemma2.Config.from_gguf(sizes)), vars(config))


@pytest.mark.parametrize("hf", [GEMMA_2B, {"model_type": "gemma"}])
def test_old_gguf_files_of_gemma_1_lack_what_the_defaults_say(hf: Mapping[str, Any]) -> None:
    config = gemma1.Config.from_hf(hf)
    optional = ("key_length", "value_length", "freq_base", "epsilon", "context_length")
    sizes = {key: value for key, value in gguf_metadata_1(config).items() if not key.endswith(optional)}
    assert equal_in_float32(vars(gemma1.Config.from_gguf(sizes)), vars(config))


@pytest.mark.parametrize(("arch", "module"), [(MODEL_ARCH.GEMMA, gemma1), (MODEL_ARCH.GEMMA2, gemma2)])
def test_names_in_gguf_files_are_those_of_llama_cpp(arch: MODEL_ARCH, module: Any) -> None:
    """As the `gguf` package of its authors has them."""
    config = module.Config.from_hf({"num_hidden_layers": 2})
    names = get_tensor_name_map(arch, 2)
    for row in module.weights(config):
        assert names.get_name(f"model.{row.safetensors}", try_suffixes=(".weight",)) == row.gguf
    known = {key for group in (Keys.LLM, Keys.Attention, Keys.Rope) for key in vars(group).values()}
    name = MODEL_ARCH_NAMES[arch]
    assert module.ARCHITECTURE.name == name
    for key in module.ARCHITECTURE.gguf_metadata(config):
        assert key.replace(f"{name}.", "{arch}.", 1) in known


def test_a_gguf_file_may_say_which_layers_are_global() -> None:
    metadata = gguf_metadata_2(gemma2.Config.from_hf({"model_type": "gemma2", "num_hidden_layers": 6}))
    config = gemma2.Config.from_gguf({**metadata, "gemma2.attention.sliding_window_pattern": 3})
    assert config.windows == (4096, 4096, 0) * 2


@pytest.mark.parametrize(
    "change",
    [
        {"query_pre_attn_scalar": 144},
        {"attn_logit_softcapping": None},
        {"final_logit_softcapping": None},
        {"layer_types": ["full_attention"] * 26},
    ],
)
def test_what_gguf_cannot_say_of_gemma_2_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedModel, match="GGUF cannot say"):
        gguf_metadata_2(gemma2.Config.from_hf(change))


BOTH = ("gemma", "gemma2", "vaultgemma")


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hidden_size": 0}, "hidden_size"),
        ({"hidden_size": True}, "hidden_size"),
        ({"hidden_size": "64"}, "hidden_size"),
        ({"intermediate_size": 1 << 40}, "intermediate_size"),
        ({"num_hidden_layers": 1 << 20}, "num_hidden_layers"),
        ({"num_attention_heads": -4}, "num_attention_heads"),
        ({"num_key_value_heads": 3}, "divide evenly"),
        ({"head_dim": 31}, "even"),
        ({"vocab_size": 1 << 30}, "vocab_size"),
        ({"max_position_embeddings": 1.5}, "max_position_embeddings"),
        ({"rms_norm_eps": -1e-6}, "rms_norm_eps"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps"),
        ({"rope_theta": float("inf")}, "rope_theta"),
        ({"rope_parameters": [1]}, "rope"),
        ({"rope_scaling": "linear"}, "rope"),
    ],
)
def test_a_config_that_cannot_be_is_refused_by_its_key(kind: str, change: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelFormatError, match=words):
        ARCHITECTURES[kind].config.from_hf({"num_attention_heads": 4, "num_key_value_heads": 2, **change})


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    "change",
    [
        {"use_bidirectional_attention": True},
        {"attention_bias": True},
        {"tie_word_embeddings": False},
        {"hidden_activation": "silu"},
        {"rope_scaling": {"type": "linear", "factor": 2.0}},
        {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}},
        {"rope_parameters": {"full_attention": {"rope_theta": 1e4}}},
    ],
)
def test_a_switch_that_no_such_model_sets_is_unsupported(kind: str, change: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedModel, match=next(iter(change)).partition("_")[0]):
        ARCHITECTURES[kind].config.from_hf(change)


def test_gemma_1_with_another_activation_is_unsupported() -> None:
    with pytest.raises(UnsupportedModel, match="hidden_act"):
        gemma1.Config.from_hf({"hidden_act": "relu"})
    with pytest.raises(UnsupportedModel, match="hidden_activation"):
        gemma1.Config.from_hf({"hidden_activation": "gelu"})


@pytest.mark.parametrize("kind", ["gemma2", "vaultgemma"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sliding_window": 0}, "sliding_window"),
        ({"query_pre_attn_scalar": 0}, "query_pre_attn_scalar"),
        ({"attn_logit_softcapping": -50.0}, "attn_logit_softcapping"),
        ({"final_logit_softcapping": 0.0}, "final_logit_softcapping"),
        ({"layer_types": ["sliding_attention"]}, "layer_types"),
        ({"layer_types": ["conv"] * 26}, "layer_types"),
    ],
)
def test_windows_and_caps_that_cannot_be_are_refused(kind: str, change: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelFormatError, match=words):
        ARCHITECTURES[kind].config.from_hf(change)


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("gemma1_mqa", {"gemma.block_count": None}, "block_count"),
        ("gemma1_mqa", {"gemma.attention.value_length": 24}, "differ in width"),
        ("gemma1_mqa", {"gemma.rope.scaling.type": "linear"}, "'linear'"),
        ("gemma2_bare", {"gemma2.attention.head_count": 0}, "head_count"),
        ("gemma2_bare", {"gemma2.attention.value_length": 24}, "differ in width"),
        ("gemma2_bare", {"gemma2.rope.scaling.type": "yarn"}, "'yarn'"),
        ("gemma2_bare", {"gemma2.attn_logit_softcapping": 0.0}, "attn_logit_softcapping"),
        ("gemma2_bare", {"gemma2.attention.sliding_window_pattern": [True, False]}, "sliding_window_pattern"),
    ],
)
def test_gguf_metadata_that_cannot_be_is_refused(
    tmp_path: Path, name: str, changes: dict[str, Any], words: str
) -> None:
    checkpoint = open_checkpoint(write_gguf(open_checkpoint(golden(name).path), tmp_path / "made.gguf"))
    with pytest.raises(ModelFormatError, match=words):
        describe(with_config(checkpoint, changes))


def test_vaultgemma_has_no_gguf_form(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write_gguf(open_checkpoint(golden("gemma2_bare").path), tmp_path / "made.gguf"))
    with pytest.raises(UnsupportedModel, match="no form for VaultGemma"):
        describe(replace(checkpoint, architecture="vaultgemma"))


# Tensors that do not fit, found by their names and shapes alone: none of these has a byte of data


def without_data(checkpoint: Checkpoint) -> Checkpoint:
    return with_tensors(checkpoint, {name: replace(t, data=EMPTY) for name, t in checkpoint.tensors.items()})


def refused(checkpoint: Checkpoint, words: str) -> None:
    with pytest.raises(CheckpointMismatch, match=words):
        ARCHITECTURES[checkpoint.architecture].build(without_data(checkpoint), "default")


@pytest.mark.parametrize("name", ["gemma1_mqa", "gemma2_bare", "vaultgemma"])
def test_missing_extra_and_misshapen_tensors_are_named(name: str) -> None:
    checkpoint = open_checkpoint(golden(name).path)
    norm = checkpoint.tensors["model.layers.1.input_layernorm.weight"]
    refused(with_tensors(checkpoint, {norm.name: None}), r"layers\.1\.input_layernorm.* missing")
    refused(with_tensors(checkpoint, {norm.name: replace(norm, shape=(7,))}), r"input_layernorm.*shape \(7,\)")
    extra = "model.layers.1.self_attn.q_norm.weight"
    refused(with_tensors(checkpoint, {extra: replace(norm, name=extra)}), r"q_norm.*not part")
    refused(with_config(checkpoint, {"num_hidden_layers": checkpoint.config["num_hidden_layers"] + 1}), "missing")
    refused(with_config(checkpoint, {"num_hidden_layers": checkpoint.config["num_hidden_layers"] - 1}), "not part")
    refused(with_config(checkpoint, {"hidden_size": 48}), "shape")


@pytest.mark.parametrize(("name", "key"), [("gemma1_mqa", "gemma.block_count"), ("gemma2_bare", "gemma2.block_count")])
def test_a_gguf_file_that_lies_about_its_layers_is_refused(tmp_path: Path, name: str, key: str) -> None:
    checkpoint = open_checkpoint(write_gguf(open_checkpoint(golden(name).path), tmp_path / "made.gguf"))
    layers = int(checkpoint.config[key])
    refused(with_config(checkpoint, {key: layers + 1}), "missing")
    refused(with_config(checkpoint, {key: layers - 1}), "not part")


@pytest.mark.parametrize(("taken_for", "words"), [("gemma", "not part"), ("gemma3_text", "missing")])
def test_a_gemma_2_is_not_taken_for_another_generation(tmp_path: Path, taken_for: str, words: str) -> None:
    checkpoint = open_checkpoint(small_model(tmp_path / "small", "gemma2"))
    config = {"attn_logit_softcapping": None, "final_logit_softcapping": None}
    refused(replace(with_config(checkpoint, config), architecture=taken_for), words)


def test_a_head_written_out_may_only_be_the_embedding() -> None:
    checkpoint = open_checkpoint(golden("gemma2_bare").path)
    embedding = checkpoint.tensors["model.embed_tokens.weight"]
    head = replace(embedding, name="lm_head.weight")
    describe(with_tensors(checkpoint, {head.name: head}))
    other: Tensor = replace(head, data=head.data[::-1].copy())
    with pytest.raises(CheckpointMismatch, match=r"lm_head\.weight"):
        describe(with_tensors(checkpoint, {head.name: other}))
