"""What the files of an embedding model may say: what we compute, or an error before a weight is read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gemwright.errors import CheckpointMismatch, GemwrightError, ModelFormatError, UnsupportedModel
from gemwright.models import architecture_of, describe, embedding_gemma, embedding_gemma2, gemma3
from gemwright.models.embedding_gemma_config import gguf_metadata
from gemwright.quantising import quantise_file
from gemwright.weights import Checkpoint, open_checkpoint
from gemwright.weights.mapped import map_file
from gemwright.weights.safetensors import read_safetensors
from support.safetensors_writer import bf16, safetensors
from support.small_embedding import DENSE, POOLING, SECOND, modules, small_embedding, small_embedding2, write
from support.small_gemma3 import small_model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return small_embedding(tmp_path / "m")


def change(file: Path, **values: Any) -> None:
    write(file, {**json.loads(file.read_text()), **values})


def described(path: Path) -> Any:
    return describe(open_checkpoint(path))


def test_the_switch_in_config_json_tells_the_two_apart(path: Path, tmp_path: Path) -> None:
    assert architecture_of(open_checkpoint(path)) is embedding_gemma.ARCHITECTURE
    assert architecture_of(open_checkpoint(small_model(tmp_path / "g"))) is gemma3.ARCHITECTURE
    with pytest.raises(UnsupportedModel, match="use_bidirectional_attention"):
        described(small_model(tmp_path / "h", use_bidirectional_attention="all"))


@pytest.mark.parametrize(("stored", "window"), [(512, 257), (513, 257), (24, 13), (9, 5), (1, 1)])
def test_a_token_sees_half_of_the_stored_window_on_either_side(path: Path, stored: int, window: int) -> None:
    change(path / "config.json", sliding_window=stored)
    config = embedding_gemma.Config.from_hf(open_checkpoint(path).config)
    assert config.layers.windows == (window,) * 5 + (0,)
    meta = {**gguf_metadata(config), "tokenizer.ggml.token_type": range(config.vocabulary)}
    assert embedding_gemma.Config.from_gguf(meta).layers.windows == config.layers.windows


def test_the_longest_text_is_what_the_tokenizer_is_told(path: Path) -> None:
    write(path / "sentence_bert_config.json", {"max_seq_length": 100, "do_lower_case": False})
    assert embedding_gemma.Config.from_hf(open_checkpoint(path).config).context_tokens == 100
    write(path / "sentence_bert_config.json", {"max_seq_length": 100_000})
    assert embedding_gemma.Config.from_hf(open_checkpoint(path).config).context_tokens == 512


@pytest.mark.parametrize(
    ("file", "values", "said"),
    [
        ("config.json", {"final_logit_softcapping": 30.0}, "final_logit_softcapping"),
        ("config.json", {"num_attention_heads": 3, "num_key_value_heads": 2}, "divide evenly"),
        ("config.json", {"sliding_window": 0}, "sliding_window"),
        ("config.json", {"sliding_window": "512"}, "sliding_window"),
        ("config.json", {"hidden_size": 1 << 40}, "hidden_size"),
        ("config.json", {"layer_types": ["full_attention"]}, "layer_types"),
        ("1_Pooling/config.json", {"pooling_mode_mean_tokens": False}, "mean"),
        ("1_Pooling/config.json", {"pooling_mode_cls_token": True}, "cls"),
        ("1_Pooling/config.json", {"pooling_mode": "lasttoken"}, "lasttoken"),
        ("1_Pooling/config.json", {"pooling_mode": ["mean", "max"]}, "max"),
        ("1_Pooling/config.json", {"include_prompt": False}, "include_prompt"),
        ("1_Pooling/config.json", {"word_embedding_dimension": 65}, "65"),
        ("2_Dense/config.json", {"bias": True}, "bias"),
        ("2_Dense/config.json", {"activation_function": "torch.nn.modules.activation.Tanh"}, "Tanh"),
        ("2_Dense/config.json", {"in_features": 65}, "65"),
        ("2_Dense/config.json", {"out_features": 97}, "97"),
        ("2_Dense/config.json", {"out_features": -1}, "out_features"),
        ("2_Dense/config.json", {"use_residual": True}, "use_residual"),
        ("3_Dense/config.json", {"module_output_name": "token_embeddings"}, "module_output_name"),
        ("sentence_bert_config.json", {"do_lower_case": True}, "lower-case"),
        ("sentence_bert_config.json", {"max_seq_length": 0}, "max_seq_length"),
    ],
)
def test_what_we_do_not_compute_is_refused(path: Path, file: str, values: dict[str, Any], said: str) -> None:
    write(path / "sentence_bert_config.json", {"max_seq_length": 512})
    change(path / file, **values)
    with pytest.raises(ModelFormatError, match=said):
        described(path)


def test_pooling_in_its_newer_spelling_is_the_same(path: Path) -> None:
    write(
        path / "1_Pooling" / "config.json", {"embedding_dimension": 64, "pooling_mode": "mean", "include_prompt": True}
    )
    assert described(path).architecture == "gemma-embedding"


@pytest.mark.parametrize("missing", ["bias", "activation_function", "in_features"])
def test_a_dense_step_that_leaves_something_open_is_refused(path: Path, missing: str) -> None:
    """sentence-transformers would take a bias and tanh then."""
    write(path / "2_Dense" / "config.json", {k: v for k, v in DENSE["2_Dense"].items() if k != missing})
    with pytest.raises(ModelFormatError, match=r"Dense|in_features"):
        described(path)


@pytest.mark.parametrize(
    "kinds",
    [
        ("Transformer", "Pooling", "Normalize"),
        ("Transformer", "Pooling", "Dense", "Dense"),
        ("Transformer", "Pooling", "Dense", "Dense", "LayerNorm"),
        ("Transformer", "Dense", "Dense", "Pooling", "Normalize"),
    ],
)
def test_another_pipeline_is_refused_by_its_steps(path: Path, kinds: tuple[str, ...]) -> None:
    write(path / "modules.json", modules(kinds))
    with pytest.raises(UnsupportedModel, match=f"lists {', '.join(kinds)}; this model is"):
        described(path)


@pytest.mark.parametrize(
    ("file", "extra"),
    [
        ("model.safetensors", "lm_head.weight"),
        ("model.safetensors", "layers.6.self_attn.q_proj.weight"),
        ("2_Dense/model.safetensors", "linear.bias"),
        ("3_Dense/model.safetensors", "residual.weight"),
    ],
)
def test_a_tensor_too_many_is_named(path: Path, file: str, extra: str) -> None:
    own = {name: bf16(tensor.to_f32()) for name, tensor in read_safetensors(path / file, map_file(path / file)).items()}
    (path / file).write_bytes(safetensors({**own, extra: bf16([[1.0]])}))
    with pytest.raises(CheckpointMismatch, match=extra):
        described(path)


@pytest.fixture
def gguf(path: Path, tmp_path: Path) -> Checkpoint:
    quantise_file(path, tmp_path / "e.gguf", matrices="BF16")
    return open_checkpoint(tmp_path / "e.gguf")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("gemma-embedding.pooling_type", 3, "pooling_type"),
        ("gemma-embedding.attention.causal", True, "causal"),
        ("gemma-embedding.attention.sliding_window", None, "sliding_window"),
        ("gemma-embedding.attention.sliding_window_pattern", 4, "pattern"),
        ("gemma-embedding.dense_2_feat_in", 65, "65"),
        ("gemma-embedding.dense_3_feat_in", 95, "95"),
        ("gemma-embedding.dense_3_feat_out", None, "dense_3_feat_out"),
        ("gemma-embedding.block_count", None, "gemma-embedding.block_count"),
        ("gemma-embedding.dense_2_feat_out", None, "dense_2_feat_out.*without --sentence-transformers-dense-modules"),
    ],
)
def test_gguf_metadata_that_says_otherwise_is_refused(gguf: Checkpoint, key: str, value: Any, said: str) -> None:
    meta: dict[str, Any] = {**gguf.config, key: value}
    if value is None:
        del meta[key]
    with pytest.raises(GemwrightError, match=said):
        embedding_gemma.Config.from_gguf(meta)


def test_gguf_files_without_heads_are_told_from_those_with(gguf: Checkpoint) -> None:
    """Their vectors would be others, and nothing would show it."""
    headless = {name: tensor for name, tensor in gguf.tensors.items() if not name.startswith("dense")}
    with pytest.raises(CheckpointMismatch, match=r"dense_2\.weight"):
        describe(replace(gguf, tensors=headless))
    more_layers: Mapping[str, Any] = {**gguf.config, "gemma-embedding.block_count": 7}
    with pytest.raises(CheckpointMismatch, match=r"blk\.6"):
        describe(replace(gguf, config=more_layers))


def test_an_old_gguf_file_that_calls_itself_gemma3_is_refused_by_its_pooling(gguf: Checkpoint) -> None:
    old = replace(gguf, architecture="gemma3", config={**gguf.config, "gemma3.pooling_type": 1})
    with pytest.raises(UnsupportedModel, match=r"calls itself gemma3.*gemma-embedding"):
        architecture_of(old)


def test_the_same_sizes_come_back_from_gguf(path: Path, gguf: Checkpoint) -> None:
    from_hf = embedding_gemma.Config.from_hf(open_checkpoint(path).config)
    from_gguf = embedding_gemma.Config.from_gguf(gguf.config)
    assert (from_gguf.inner, from_gguf.dimensions) == (from_hf.inner, from_hf.dimensions)
    for name, value in vars(from_hf.layers).items():
        assert getattr(from_gguf.layers, name) == (pytest.approx(value) if isinstance(value, float) else value), name


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"attention_bias": True}, "attention_bias"),
        ({"hidden_activation": "relu"}, "hidden_activation"),
        ({"layer_types": ["full_attention"] * 5 + ["sliding_attention"]}, "last layer"),
        ({"layer_types": ["full_attention"] * 5}, "layer_types"),
        ({"per_layer_config": {"6": {"head_dim": 8}}}, "layers 0 to 5"),
        ({"per_layer_config": [1]}, "layers 0 to 5"),
        ({"per_layer_config": {"5": {"head_dim": 8, "scale": 2}}}, "more than"),
        ({"per_layer_config": {"5": {"head_dim": 7}}}, "even"),
        ({"global_head_dim": 7}, "even"),
        ({"num_global_key_value_heads": 3}, "divide evenly"),
        ({"rope_parameters": {"full_attention": {"rope_type": "default"}}}, "sliding_attention"),
        ({"rope_parameters": {"full_attention": {"rope_type": "proportional"}}}, "full_attention"),
        ({"hidden_size_per_layer_input": 0}, "hidden_size_per_layer_input"),
        ({"num_hidden_layers": 10_000}, "num_hidden_layers"),
        ({"embedding_dim": 1.5}, "embedding_dim"),
        ({"rms_norm_eps": -1}, "rms_norm_eps"),
    ],
)
def test_the_second_s_config_is_checked_too(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelFormatError, match=said):
        embedding_gemma2.Config.from_hf({**SECOND, **values})


def test_the_second_s_pipeline_must_be_mean_and_length_one(tmp_path: Path) -> None:
    path = small_embedding2(tmp_path / "m")
    write(path / "modules.json", modules(("Transformer", "Pooling", "Normalize")))
    write(path / "1_Pooling" / "config.json", {**POOLING, "word_embedding_dimension": 160})
    assert described(path).architecture == "embedding_gemma2"
    change(path / "1_Pooling" / "config.json", pooling_mode_max_tokens=True)
    with pytest.raises(UnsupportedModel, match="max"):
        described(path)
    write(path / "modules.json", modules())
    shutil.copytree(small_embedding(tmp_path / "other") / "2_Dense", path / "2_Dense")
    with pytest.raises(UnsupportedModel, match="lists"):
        described(path)


def test_the_second_is_never_read_from_gguf() -> None:
    with pytest.raises(UnsupportedModel, match="no GGUF form"):
        embedding_gemma2.Config.from_gguf({})


def test_defaults_are_the_published_sizes() -> None:
    second = embedding_gemma2.Config.from_hf({"model_type": "embedding_gemma2_text"})
    assert len(second.shapes) == 24
    assert [i for i, shape in enumerate(second.shapes) if not shape.window] == [5, 11, 17, 23]
    assert set(second.shapes) == {(513, 2, 256), (0, 1, 512)}
    assert (second.hidden, second.dimensions, second.context_tokens) == (512, 768, 8192)
