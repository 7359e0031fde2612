"""Random Gemma 1, Gemma 2 and VaultGemma models with widths that quantised blocks fit, as users have them on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from gemwright.models import ARCHITECTURES
from support.small_gemma3 import Arrays, write_weights
from unit.text.toy import json_definition, write_json
from unit.text.toy_shield import toy_with_marks

SEED = 20261125
SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "max_position_embeddings": 4096,
}
CAPPED: dict[str, Any] = {
    "query_pre_attn_scalar": 32,
    "sliding_window": 16,
    "attn_logit_softcapping": 3.0,
    "final_logit_softcapping": 4.0,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "gemma": {"model_type": "gemma", **SIZES},
    "gemma2": {"model_type": "gemma2", **SIZES, **CAPPED},
    "vaultgemma": {"model_type": "vaultgemma", **SIZES, **CAPPED},
}


def small_model(directory: Path, kind: str, *, dtype: str = "BF16", **changes: Any) -> Path:
    """Writes it to `directory` and returns that. kind: a key of CONFIGS. changes: to it.

    Its vocabulary is the toy's with marks, and the embedding has three rows more than there are pieces.
    """
    directory.mkdir(parents=True, exist_ok=True)
    toy = toy_with_marks()
    config = {**CONFIGS[kind], "vocab_size": len(toy.spellings) + 3, **changes}
    (directory / "config.json").write_text(json.dumps(config), "utf-8")
    write_json(directory, json_definition(toy))
    write_weights(directory, small_arrays(config), dtype)
    return directory


def small_arrays(config: dict[str, Any]) -> Arrays:
    """float32 by safetensors name."""
    rng = np.random.default_rng(SEED)
    architecture = ARCHITECTURES[config["model_type"]]
    arrays: Arrays = {}
    for row in architecture.weights(architecture.config.from_hf(config)):
        values = rng.normal(size=row.shape) * (0.1 if len(row.shape) == 1 else row.shape[1] ** -0.5)
        arrays[f"model.{row.safetensors}"] = values.astype(np.float32)
    return arrays
