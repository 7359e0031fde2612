"""Random EmbeddingGemmas with widths that quantised blocks fit, in directories as sentence-transformers writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from gemwright.models import embedding_gemma, embedding_gemma2
from support.safetensors_writer import bf16, safetensors
from unit.text.toy import Toy, json_definition, write_json

SEED = 20261126
CONFIG: dict[str, Any] = {
    "model_type": "gemma3_text",
    "use_bidirectional_attention": True,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 6,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "query_pre_attn_scalar": 32,
    "sliding_window": 24,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1_000_000.0,
    "rope_local_base_freq": 10_000.0,
    "max_position_embeddings": 512,
    "vocab_size": len(Toy.of().spellings),
}
SECOND: dict[str, Any] = {
    "model_type": "embedding_gemma2_text",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 6,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "global_head_dim": 64,
    "sliding_window": 12,
    "hidden_size_per_layer_input": 32,
    "embedding_dim": 160,
    "vocab_size": len(Toy.of().spellings),
}
INNER, DIMENSIONS = 96, 160
POOLING = {"word_embedding_dimension": 64, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
IDENTITY = "torch.nn.modules.linear.Identity"
DENSE = {
    "2_Dense": {"in_features": 64, "out_features": INNER, "bias": False, "activation_function": IDENTITY},
    "3_Dense": {"in_features": INNER, "out_features": DIMENSIONS, "bias": False, "activation_function": IDENTITY},
}
KINDS = ("Transformer", "Pooling", "Dense", "Dense", "Normalize")


def modules(kinds: tuple[str, ...] = KINDS) -> list[dict[str, Any]]:
    """The content of modules.json."""
    paths = ["" if kind == "Transformer" else f"{i}_{kind}" for i, kind in enumerate(kinds)]
    return [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(zip(kinds, paths, strict=True))
    ]


def small_embedding(directory: Path, *, prompts: dict[str, Any] | None = None, **changes: Any) -> Path:
    """Writes it to `directory` and returns that.

    prompts: the content of config_sentence_transformers.json, if there is to be one. changes: to CONFIG.
    """
    directory.mkdir(parents=True, exist_ok=True)
    config = {**CONFIG, **changes}
    write(directory / "config.json", config)
    write(directory / "modules.json", modules())
    write(directory / "1_Pooling" / "config.json", POOLING)
    for folder, settings in DENSE.items():
        write(directory / folder / "config.json", settings)
    if prompts is not None:
        write(directory / "config_sentence_transformers.json", prompts)
    write_json(directory, json_definition(Toy.of()))
    arrays: dict[str, dict[str, Any]] = {"": {}, "2_Dense": {}, "3_Dense": {}}
    rng = np.random.default_rng(SEED)
    for row in embedding_gemma.weights(_read(config)):
        scale = 0.1 if len(row.shape) == 1 else row.shape[1] ** -0.5
        folder, name = row.safetensors.split(".", 1) if "_Dense." in row.safetensors else ("", row.safetensors)
        arrays[folder][name] = bf16(rng.normal(size=row.shape) * scale)
    for folder, tensors in arrays.items():
        (directory / folder / "model.safetensors").write_bytes(safetensors(tensors))
    return directory


def small_embedding2(directory: Path) -> Path:
    """An EmbeddingGemma 2, without a pipeline around it. Scores are not scaled in it, so its norms keep them small."""
    write(directory / "config.json", SECOND)
    write_json(directory, json_definition(Toy.of()))
    rng = np.random.default_rng(SEED)
    arrays = {
        row.safetensors: bf16(
            (0.4 if row.name.endswith(("q_norm", "k_norm")) else 1) + rng.normal(size=row.shape) * 0.1
        )
        if len(row.shape) == 1
        else bf16(rng.normal(size=row.shape) * row.shape[1] ** -0.5)
        for row in embedding_gemma2.weights(embedding_gemma2.Config.from_hf(SECOND))
    }
    (directory / "model.safetensors").write_bytes(safetensors(arrays))
    return directory


def write(path: Path, content: Any) -> None:
    """`content` as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), "utf-8")


def _read(config: dict[str, Any]) -> embedding_gemma.Config:
    settings = [{}, POOLING, *DENSE.values(), {}]
    steps = [{"type": kind, "path": "", "config": one} for kind, one in zip(KINDS, settings, strict=True)]
    return embedding_gemma.Config.from_hf({**config, "modules.json": steps})
