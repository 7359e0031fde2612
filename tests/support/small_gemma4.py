"""Random Gemma 4 text models with widths that quantised blocks fit, written as a directory of safetensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from gemwright.models import gemma4
from gemwright.models.gemma4_drafter import DrafterConfig, drafter_weights
from gemwright.weights import Weight
from support.small_gemma3 import write_weights
from unit.text.toy import Toy, json_definition, write_json

SEED = 20261126
LOCAL, GLOBAL = "sliding_attention", "full_attention"
CONFIG: dict[str, Any] = {
    "model_type": "gemma4_text",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "global_head_dim": 64,
    "sliding_window": 16,
    "rms_norm_eps": 1e-6,
    "final_logit_softcapping": 30.0,
    "max_position_embeddings": 512,
    "num_hidden_layers": 5,
    "layer_types": [LOCAL, LOCAL, GLOBAL, LOCAL, GLOBAL],
    "hidden_size_per_layer_input": 0,
}
KINDS: dict[str, dict[str, Any]] = {
    "E": {"hidden_size_per_layer_input": 32, "num_kv_shared_layers": 2, "use_double_wide_mlp": True},
    "31B": {"attention_k_eq_v": True, "num_global_key_value_heads": 1},
    "26B": {
        "attention_k_eq_v": True,
        "num_global_key_value_heads": 1,
        "enable_moe_block": True,
        "num_experts": 6,
        "top_k_experts": 2,
        "moe_intermediate_size": 32,
    },
}


def small_config(kind: str) -> dict[str, Any]:
    """config.json of a model like that size. Its vocabulary is the toy's, and three rows more than there are pieces."""
    rows = len(Toy.of().spellings) + 3
    return {**CONFIG, **KINDS[kind], "vocab_size": rows, "vocab_size_per_layer_input": rows}


def small_model(directory: Path, kind: str, dtype: str = "BF16") -> Path:
    """Writes one to `directory` and returns that. kind: a key of KINDS. dtype: F32, F16 or BF16."""
    directory.mkdir(parents=True, exist_ok=True)
    config = small_config(kind)
    (directory / "config.json").write_text(json.dumps(config), "utf-8")
    write_json(directory, json_definition(Toy.of()))
    write_weights(directory, _random(gemma4.weights(gemma4.Config.from_hf(config))), dtype)
    return directory


def small_drafter(directory: Path, kind: str, **changes: Any) -> Path:
    """A random drafter for the `small_model` of that kind, written to `directory`. changes: to its text_config."""
    directory.mkdir(parents=True, exist_ok=True)
    text = {**small_config(kind), "hidden_size": 32, "num_hidden_layers": 2, "layer_types": [LOCAL, GLOBAL]}
    text |= {"hidden_size_per_layer_input": 0, "enable_moe_block": False, "use_double_wide_mlp": False}
    text |= {"num_kv_shared_layers": 2, **changes}
    config = {"model_type": "gemma4_assistant", "backbone_hidden_size": 64, "text_config": text}
    (directory / "config.json").write_text(json.dumps(config), "utf-8")
    write_weights(directory, _random(drafter_weights(DrafterConfig.from_hf(config))))
    return directory


def _random(rows: tuple[Weight, ...]) -> dict[str, np.ndarray]:
    rng, arrays = np.random.default_rng(SEED), {}
    for row in rows:
        vector, size = len(row.shape) == 1, 0.3 if row.name.endswith(("q_norm", "k_norm")) else 1.0
        values = rng.uniform(0.5, 1.0, row.shape) * size if vector else rng.normal(0, row.shape[-1] ** -0.5, row.shape)
        arrays[f"model.{row.safetensors}"] = values.astype(np.float32)
    return arrays
