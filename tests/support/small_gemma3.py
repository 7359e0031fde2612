"""A random Gemma 3 text model with widths that quantised blocks fit, written as a directory of safetensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gemwright.models import gemma3
from support.safetensors_writer import bf16, safetensors
from unit.text.toy import Toy, json_definition, write_json

SEED = 20261125
CONFIG: dict[str, Any] = {
    "model_type": "gemma3_text",
    "hidden_size": 64,
    "intermediate_size": 256,
    "num_hidden_layers": 6,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "query_pre_attn_scalar": 32,
    "sliding_window": 16,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1_000_000.0,
    "rope_local_base_freq": 10_000.0,
    "max_position_embeddings": 512,
}
Arrays = dict[str, npt.NDArray[Any]]


def small_model(directory: Path, *, dtype: str = "BF16", on_grid: bool = False, **changes: Any) -> Path:
    """Writes it to `directory` and returns that.

    dtype: F32, F16 or BF16. on_grid: matrices of the layers are float16 scales times whole numbers. changes: to CONFIG.
    Its vocabulary is the toy's, and the embedding has three rows more than there are pieces.
    """
    directory.mkdir(parents=True, exist_ok=True)
    toy = Toy.of()
    config = {**CONFIG, "vocab_size": len(toy.spellings) + 3, **changes}
    (directory / "config.json").write_text(json.dumps(config), "utf-8")
    write_json(directory, json_definition(toy))
    write_weights(directory, small_arrays(config, on_grid=on_grid), dtype)
    return directory


def small_arrays(config: dict[str, Any], *, on_grid: bool = False) -> Arrays:
    """float32 by safetensors name."""
    rng = np.random.default_rng(SEED)
    arrays: Arrays = {}
    for row in gemma3.weights(gemma3.Config.from_hf(config)):
        if len(row.shape) == 1:
            values = rng.normal(size=row.shape) * 0.1
        elif on_grid and row.name != "embed":
            codes = rng.integers(-8, 8, (row.shape[0], row.shape[1] // 32, 32))
            values = (codes * rng.uniform(0.01, 0.03, (*codes.shape[:2], 1)).astype(np.float16)).reshape(row.shape)
        else:
            values = rng.normal(size=row.shape) / row.shape[1] ** 0.5
        arrays[f"model.{row.safetensors}"] = values.astype(np.float32)
    return arrays


def write_weights(directory: Path, arrays: Arrays, dtype: str = "BF16") -> None:
    """model.safetensors; BF16 by truncation."""
    made = {"F32": lambda x: x, "F16": lambda x: x.astype("<f2"), "BF16": bf16}[dtype]
    (directory / "model.safetensors").write_bytes(safetensors({name: made(x) for name, x in arrays.items()}))
