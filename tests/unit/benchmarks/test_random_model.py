"""Random models have the tensors and types real ones would have, and run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import gemwright
from gemwright.models import ARCHITECTURES
from gemwright.weights import TensorType
from support.real_model import checkpoint


def types(module, size: str, kind: str) -> dict[str, str]:
    random_model = module("random_model")
    shape = random_model.SHAPES[size]
    architecture = ARCHITECTURES[shape["model_type"]]
    rows = architecture.weights(architecture.config.from_hf(shape))
    layers = shape["num_hidden_layers"]
    return {row.gguf: random_model.tensor_type(row.gguf, row.shape, layers, kind).name for row in rows}


@pytest.mark.real
def test_types_are_those_that_llama_quantize_chose_for_the_default_model(module) -> None:
    tensors = checkpoint().tensors
    chosen = {t.name: module("random_model").tensor_type(t.name, t.shape, 18, "Q4_K_M") for t in tensors.values()}
    assert chosen == {tensor.name: tensor.type for tensor in tensors.values()}


def test_4b_has_k_types_and_1b_whose_rows_do_not_fit_them_plain_ones(module) -> None:
    four, one = types(module, "gemma-3-4b", "Q4_K_M"), types(module, "gemma-3-1b", "Q4_K_M")
    assert [four[name] for name in ("token_embd.weight", "blk.4.attn_q.weight", "blk.0.ffn_down.weight")] == [
        "Q6_K", "Q4_K", "Q6_K",
    ]  # fmt: skip
    assert [one[name] for name in ("token_embd.weight", "blk.4.attn_q.weight", "blk.0.attn_v.weight")] == [
        "Q8_0", "Q5_0", "Q8_0",
    ]  # fmt: skip
    assert types(module, "gemma-3-4b", "Q4_0")["blk.0.ffn_down.weight"] == "Q4_0"


@pytest.mark.parametrize("kind", [TensorType.Q4_0, TensorType.Q5_0, TensorType.Q8_0, TensorType.Q4_K, TensorType.Q6_K])
def test_random_weights_spread_like_trained_ones(module, kind: TensorType) -> None:
    from gemwright.weights.dequant import dequantize

    random_model = module("random_model")
    values = dequantize(kind, np.concatenate([*random_model.random_values("blk.0.x", (64, 1024), kind)]))
    assert values.std() == pytest.approx(random_model.SPREAD, rel=0.25)
    assert abs(values.mean()) < random_model.SPREAD / 5


@pytest.mark.real
@pytest.mark.parametrize("kind", ["Q4_0", "Q4_K_M"])
def test_a_small_random_model_is_loaded_and_answers(module, tmp_path: Path, kind: str) -> None:
    random_model = module("random_model")
    shape = random_model.SHAPES["gemma-3-4b"] | {
        "num_hidden_layers": 6,
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 64,
        "query_pre_attn_scalar": 64,
        "sliding_window": 64,
        "max_position_embeddings": 512,
    }
    random_model.write_random_model(tmp_path / "r.gguf", "Random", shape, kind, checkpoint().path)
    model = gemwright.load(tmp_path / "r.gguf", cache_dir=tmp_path / "cache")
    assert len(model.generate("The ocean", max_tokens=3, temperature=0.0).tokens) == 3
    assert model.network.config.global_stretch == 8.0
