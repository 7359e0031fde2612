"""Makes tests/conformance/goldens_embedding: tiny random EmbeddingGemma checkpoints and what transformers computes.

Run in an environment of its own with torch, transformers and safetensors (versions end up in PROVENANCE.toml):

    python scripts/make_embedding_goldens.py

The oracle is transformers' Gemma3TextModel with `use_bidirectional_attention` (EmbeddingGemma) or
EmbeddingGemma2TextModel, in float32 with eager attention, on the weights as they are stored; what follows the layers
(mean, matrices, length 1) is computed here in torch, as sentence-transformers does.
"""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoModel
from transformers.models.embedding_gemma2.modeling_embedding_gemma2 import EmbeddingGemma2TextModel

FOLDER = Path(__file__).parents[1] / "tests" / "conformance" / "goldens_embedding"
FIRST = {
    "architectures": ["Gemma3TextModel"],
    "model_type": "gemma3_text",
    "use_bidirectional_attention": True,
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 128,
}
SECOND = {
    "architectures": ["EmbeddingGemma2TextModel"],
    "model_type": "embedding_gemma2_text",
    "rms_norm_eps": 1e-6,
}
TYPE = "sentence_transformers.models."


@dataclass(frozen=True)
class Recipe:
    """One checkpoint: config.json as it is written, how weights are stored, the tokens of the text.

    dense: widths of the two matrices after the mean, none for EmbeddingGemma 2. wrapped: whether the text model is
    part of a multimodal checkpoint, with another tower's tensor beside it.
    """

    about: str
    config: Mapping[str, Any]
    dtype: torch.dtype
    length: int
    dense: tuple[int, ...] = ()
    wrapped: bool = False
    tokenizing: Mapping[str, Any] = field(default_factory=dict)


RECIPES = {
    "sixth": Recipe(
        "EmbeddingGemma: 3 query heads on 1; 7 layers, the sixth global; radius 5 of 40 tokens; old keys; bf16",
        {
            **FIRST,
            "hidden_size": 48,
            "intermediate_size": 36,
            "num_hidden_layers": 7,
            "num_attention_heads": 3,
            "num_key_value_heads": 1,
            "head_dim": 12,
            "query_pre_attn_scalar": 12,
            "vocab_size": 97,
            "sliding_window": 10,
            "_sliding_window_pattern": 6,
            "rope_theta": 1000000.0,
            "rope_local_base_freq": 10000.0,
            "rope_scaling": None,
        },
        torch.bfloat16,
        40,
        dense=(144, 136),
        tokenizing={"max_seq_length": 64, "do_lower_case": False},
    ),
    "odd": Recipe(
        "EmbeddingGemma: odd stored window 9; layers, rope bases and eps of its own; scalar != head_dim; f32",
        {
            **FIRST,
            "rms_norm_eps": 0.003,
            "hidden_size": 40,
            "intermediate_size": 30,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "query_pre_attn_scalar": 11,
            "vocab_size": 61,
            "sliding_window": 9,
            "layer_types": ["full_attention", "sliding_attention", "sliding_attention", "full_attention"],
            "rope_parameters": {
                "full_attention": {"rope_type": "default", "rope_theta": 50000.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 777.0},
            },
        },
        torch.float32,
        33,
        dense=(52, 40),
    ),
    "long": Recipe(
        "EmbeddingGemma: radius 37 of 270 tokens: pages, rings and spans on both sides; 3 layers, all local; f16",
        {
            **FIRST,
            "max_position_embeddings": 300,
            "hidden_size": 40,
            "intermediate_size": 44,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "query_pre_attn_scalar": 8,
            "vocab_size": 61,
            "sliding_window": 74,
            "layer_types": ["sliding_attention"] * 3,
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            },
        },
        torch.float16,
        270,
        dense=(72, 40),
    ),
    "second": Recipe(
        "EmbeddingGemma 2: 6 layers, head widths 8 and 12, 2 and 1 key heads; radius 5 of 40 tokens; bf16",
        {
            **SECOND,
            "hidden_size": 40,
            "intermediate_size": 28,
            "num_hidden_layers": 6,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "global_head_dim": 12,
            "num_global_key_value_heads": 1,
            "vocab_size": 97,
            "sliding_window": 5,
            "hidden_size_per_layer_input": 12,
            "embedding_dim": 44,
        },
        torch.bfloat16,
        40,
    ),
    "second-long": Recipe(
        "EmbeddingGemma 2: radius 37 of 150 tokens; layers, key heads, rope bases and eps of its own; f32",
        {
            **SECOND,
            "rms_norm_eps": 0.003,
            "hidden_size": 24,
            "intermediate_size": 20,
            "num_hidden_layers": 4,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 12,
            "vocab_size": 61,
            "sliding_window": 37,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
            "per_layer_config": {
                "1": {"head_dim": 8, "num_key_value_heads": 2},
                "3": {"head_dim": 8, "num_key_value_heads": 2},
            },
            "rope_parameters": {
                "full_attention": {"rope_type": "default", "rope_theta": 50000.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 777.0},
            },
            "hidden_size_per_layer_input": 10,
            "embedding_dim": 136,
        },
        torch.float32,
        150,
    ),
    "second-wrapped": Recipe(
        "EmbeddingGemma 2: the text part of a multimodal checkpoint, a pipeline around it; f16",
        {
            "architectures": ["EmbeddingGemma2Model"],
            "model_type": "embedding_gemma2",
            "vision_config": None,
            "audio_config": None,
            "text_config": {
                **SECOND,
                "hidden_size": 40,
                "intermediate_size": 28,
                "num_hidden_layers": 3,
                "num_attention_heads": 3,
                "num_key_value_heads": 1,
                "head_dim": 8,
                "global_head_dim": 16,
                "num_global_key_value_heads": 3,
                "sliding_window_pattern": 3,
                "vocab_size": 83,
                "sliding_window": 4,
                "hidden_size_per_layer_input": 12,
                "embedding_dim": 40,
            },
        },
        torch.float16,
        21,
        wrapped=True,
    ),
}


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    for number, (name, recipe) in enumerate(RECIPES.items()):
        make(FOLDER / name, recipe, np.random.default_rng(20261125 + number))
    provenance()


def make(folder: Path, recipe: Recipe, rng: np.random.Generator) -> None:
    """Writes one checkpoint as sentence-transformers would, and its golden.npz."""
    folder.mkdir(parents=True)
    write(folder / "config.json", recipe.config)
    model = fresh(folder)
    inner = model.language_model if recipe.wrapped else model
    weights = {name: random_weight(name, w.shape, rng).to(recipe.dtype) for name, w in inner.state_dict().items()}
    dense = [
        random_weight("linear", shape, rng).to(recipe.dtype)
        for shape in zip(recipe.dense, (inner.config.hidden_size, *recipe.dense), strict=False)
    ]
    prefix = "language_model." if recipe.wrapped else ""
    tensors = {prefix + name: w for name, w in weights.items()}
    if recipe.wrapped:
        tensors["embed_vision.embedding_projection.weight"] = torch.zeros(8, 8, dtype=recipe.dtype)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    if recipe.dense or recipe.wrapped:
        pipeline(folder, recipe, inner, dense)

    inner = AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    inner = inner.language_model if recipe.wrapped else inner
    for name, w in inner.state_dict().items():
        assert torch.equal(w, weights[name].float()), f"{folder.name}: {name} was not read"
    tokens = torch.from_numpy(rng.integers(3, inner.config.vocab_size, recipe.length))
    tokens[0], tokens[-1] = 2, 1
    layers: list[torch.Tensor] = []
    hooks = [layer.register_forward_hook(lambda _, __, out: layers.append(out.clone())) for layer in inner.layers]
    with torch.no_grad():
        states = inner(tokens[None]).last_hidden_state[0]
        vector = states.mean(0)
        for matrix in dense:
            vector = torch.nn.functional.linear(vector, matrix.float())
        vector = torch.nn.functional.normalize(vector, dim=0)
    assert len(hooks) == len(layers) == len(inner.layers)
    stacked = torch.cat([out[0] if isinstance(out, tuple) else out for out in layers])
    print(f"{folder.name:15} states: deviation {states.std():.2f}; layers: {[f'{x.std():.1f}' for x in stacked]}")
    arrays = {"layers": stacked, "states": states, "vector": vector}
    np.savez_compressed(
        folder / "golden.npz",
        tokens=tokens.numpy().astype(np.int32),
        **{name: array.numpy() for name, array in arrays.items()},
    )


def fresh(folder: Path) -> Any:
    """A model of the folder's config.json, weights to be replaced."""
    config = transformers.AutoConfig.from_pretrained(folder, attn_implementation="eager")
    if config.model_type == "embedding_gemma2_text":
        return EmbeddingGemma2TextModel(config).float().eval()
    return AutoModel.from_config(config, dtype=torch.float32, attn_implementation="eager").eval()


def pipeline(folder: Path, recipe: Recipe, model: Any, dense: list[torch.Tensor]) -> None:
    """modules.json and the folders it names."""
    kinds = ["Transformer", "Pooling", *["Dense"] * len(dense), "Normalize"]
    paths = ["", *(f"{i}_{kind}" for i, kind in enumerate(kinds) if i)]
    modules = [{"idx": i, "name": str(i), "path": paths[i], "type": TYPE + kind} for i, kind in enumerate(kinds)]
    write(folder / "modules.json", modules)
    for path in paths[1:-1]:  # Normalize has no settings, and git keeps no empty folder
        (folder / path).mkdir()
    width = model.config.hidden_size if dense else model.config.embedding_dim
    modes = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
    switches = {f"pooling_mode_{mode}": mode == "mean_tokens" for mode in modes}
    write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": width, **switches, "include_prompt": True})
    for path, matrix in zip(paths[2:-1], dense, strict=True):
        outputs, inputs = matrix.shape
        settings = {"in_features": inputs, "out_features": outputs, "bias": False}
        settings["activation_function"] = "torch.nn.modules.linear.Identity"
        write(folder / path / "config.json", settings)
        save_file({"linear.weight": matrix}, folder / path / "model.safetensors", metadata={"format": "pt"})
    if recipe.tokenizing:
        write(folder / "sentence_bert_config.json", recipe.tokenizing)


def write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


def random_weight(name: str, shape: Any, rng: np.random.Generator) -> torch.Tensor:
    """Weights of a size that keeps every part awake."""
    if name.endswith("layer_scalar"):
        values = rng.uniform(0.5, 1.5, shape)
    elif "norm.weight" in name:
        values = rng.uniform(-0.5, 1.0, shape)  # the factor itself in EmbeddingGemma 2, one less in the first
    elif name == "embed_tokens.weight":
        values = rng.normal(0, 0.4, shape)
    else:
        values = rng.normal(0, shape[1] ** -0.5, shape)
    return torch.from_numpy(values.astype(np.float32))


def provenance() -> None:
    """Where the goldens come from, for those who doubt them."""
    lines = [
        "# Written by scripts/make_embedding_goldens.py.",
        'oracle = "transformers Gemma3TextModel and EmbeddingGemma2TextModel, float32, eager attention, CPU"',
        'command = "python scripts/make_embedding_goldens.py"',
        'licence = "random numbers drawn by the script; no published weights"',
        "",
        "[versions]",
        f'python = "{platform.python_version()}"',
        f'torch = "{torch.__version__}"',
        f'transformers = "{transformers.__version__}"',
        f'safetensors = "{safetensors.__version__}"',
        f'numpy = "{np.__version__}"',
        "",
        "[checkpoints]",
        *(f'{name} = "{recipe.about}"' for name, recipe in RECIPES.items()),
    ]
    (FOLDER / "PROVENANCE.toml").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
