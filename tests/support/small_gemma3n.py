"""A random Gemma 3n text model with widths that quantised blocks fit, written as a directory of safetensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from gemwright.models import gemma3n
from support.small_gemma3 import Arrays, write_weights
from unit.text.toy import Toy, json_definition, write_json

SEED = 20261126
CONFIG: dict[str, Any] = {
    "model_type": "gemma3n_text",
    "hidden_size": 64,
    "intermediate_size": [96, 160, 96, 128, 96, 96],
    "num_hidden_layers": 6,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "hidden_size_per_layer_input": 32,
    "num_kv_shared_layers": 2,
    "layer_types": [f"{kind}_attention" for kind in ("sliding", "sliding", "sliding", "full", "sliding", "full")],
    "activation_sparsity_pattern": [0.8, 0.8, 0.0, 0.0, 0.0, 0.0],
    "sliding_window": 16,
    "max_position_embeddings": 512,
}


def small_model(directory: Path, *, dtype: str = "BF16", unread: bool = True, **changes: Any) -> Path:
    """Writes it to `directory` and returns that.

    dtype: F32, F16 or BF16. unread: with the weights nobody reads. changes: to CONFIG.
    Its vocabulary is the toy's; the embedding has three rows more than there are pieces, and five more than there are
    vectors for each layer.
    """
    directory.mkdir(parents=True, exist_ok=True)
    toy = Toy.of()
    vocabulary = len(toy.spellings) + 3
    config = {**CONFIG, "vocab_size": vocabulary, "vocab_size_per_layer_input": vocabulary - 5, **changes}
    (directory / "config.json").write_text(json.dumps(config), "utf-8")
    write_json(directory, json_definition(toy))
    write_weights(directory, small_arrays(config, unread=unread), dtype)
    return directory


def small_arrays(config: dict[str, Any], *, unread: bool = True) -> Arrays:
    """float32 by safetensors name. Layers add less than there is, so that roundings do not multiply."""
    rng = np.random.default_rng(SEED)
    arrays: Arrays = {}
    for row in gemma3n.weights(gemma3n.Config.from_hf(config)):
        if len(row.shape) == 1:
            values = rng.uniform(0.1, 0.5, row.shape) if ".post_" in row.safetensors else rng.uniform(0.3, 1, row.shape)
        elif row.name.endswith("altup_router"):
            values = rng.normal(size=row.shape) * row.shape[1] ** 0.5 / 2
        elif row.name.endswith(("altup_predict", "altup_correct")):
            values = rng.normal(size=row.shape) / 10
        else:
            values = rng.normal(size=row.shape) / row.shape[1] ** 0.5
        if unread or not row.unread:
            arrays[f"model.{row.safetensors}"] = values.astype(np.float32)
    return arrays
