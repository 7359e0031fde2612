"""Makes tests/conformance/goldens: tiny random Gemma 3 checkpoints and what transformers computes from them.

Run in an environment of its own with torch, transformers and safetensors (versions end up in PROVENANCE.toml):

    python scripts/make_gemma3_goldens.py

The oracle is transformers' Gemma3ForCausalLM in float32 with eager attention, on the weights as they are stored.
The same seeds give the same checkpoints; goldens may differ in their last bits between versions of torch.
"""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
import transformers
from safetensors.torch import save_file
from transformers import Gemma3ForCausalLM, Gemma3TextConfig

FOLDER = Path(__file__).parents[1] / "tests" / "conformance" / "goldens"
GENERAL = {"architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "rms_norm_eps": 1e-6}

LAYER_TOKENS = 40
"""Of so many of the last tokens the stream after each layer is kept."""
ANSWER_TOKENS = 12

OTHER_TOWERS = ("vision_tower.vision_model.post_layernorm.weight", "multi_modal_projector.mm_soft_emb_norm.weight")


@dataclass(frozen=True)
class Recipe:
    """One checkpoint: config.json as it is written, how the weights are stored, how long the prompt is."""

    about: str
    config: Mapping[str, Any]
    dtype: torch.dtype
    prompt: int
    shards: int = 1
    prefix: str = "model."


RECIPES = {
    "grouped": Recipe(
        "4 query heads on 1; window 8 of 40 tokens; 7 layers end on a local one; old keys; scalar != head_dim",
        {
            **GENERAL,
            "hidden_size": 40,
            "intermediate_size": 44,
            "num_hidden_layers": 7,
            "num_attention_heads": 4,
            "num_key_value_heads": 1,
            "head_dim": 12,
            "query_pre_attn_scalar": 19,
            "vocab_size": 97,
            "sliding_window": 8,
            "sliding_window_pattern": 6,
            "rope_theta": 1000000.0,
            "rope_local_base_freq": 10000.0,
            "rope_scaling": None,
        },
        torch.float32,
        prompt=40,
    ),
    "sharded": Recipe(
        "4 query heads on 2; 6 layers end on a global one, its rope scaled by 8; new keys; two f16 shards",
        {
            **GENERAL,
            "hidden_size": 72,
            "intermediate_size": 48,
            "num_hidden_layers": 6,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 20,
            "query_pre_attn_scalar": 20,
            "vocab_size": 101,
            "sliding_window": 9,
            "layer_types": ["sliding_attention"] * 5 + ["full_attention"],
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            },
        },
        torch.float16,
        prompt=40,
        shards=2,
    ),
    "thirteen": Recipe(
        "2 query heads on 2; 13 layers, two of them global; old keys with linear scaling; bf16",
        {
            **GENERAL,
            "hidden_size": 40,
            "intermediate_size": 28,
            "num_hidden_layers": 13,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 24,
            "query_pre_attn_scalar": 30,
            "vocab_size": 75,
            "sliding_window": 8,
            "sliding_window_pattern": 6,
            "rope_theta": 1000000.0,
            "rope_local_base_freq": 10000.0,
            "rope_scaling": {"rope_type": "linear", "factor": 8.0},
        },
        torch.bfloat16,
        prompt=40,
    ),
    "irregular": Recipe(
        "5 layers in an order of their own; odd rope bases and eps; window 37; 270 tokens: pages, rings, spans; bf16",
        {
            **GENERAL,
            "rms_norm_eps": 0.003,
            "hidden_size": 40,
            "intermediate_size": 30,
            "num_hidden_layers": 5,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "head_dim": 8,
            "query_pre_attn_scalar": 8,
            "vocab_size": 61,
            "sliding_window": 37,
            "layer_types": [
                "full_attention",
                "sliding_attention",
                "full_attention",
                "sliding_attention",
                "sliding_attention",
            ],
            "rope_parameters": {
                "full_attention": {"rope_type": "default", "rope_theta": 50000.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 777.0},
            },
        },
        torch.bfloat16,
        prompt=270,
    ),
    "tower": Recipe(
        "the text tower of a multimodal file: config under text_config, most fields left to their defaults; bf16",
        {
            "architectures": ["Gemma3ForConditionalGeneration"],
            "model_type": "gemma3",
            "text_config": {
                "model_type": "gemma3_text",
                "hidden_size": 40,
                "intermediate_size": 36,
                "num_hidden_layers": 7,
                "head_dim": 8,
                "vocab_size": 83,
                "rope_scaling": {"rope_type": "linear", "factor": 8.0},
                "sliding_window": 16,
            },
            "vision_config": {"model_type": "siglip_vision_model", "hidden_size": 8, "num_hidden_layers": 1},
        },
        torch.bfloat16,
        prompt=40,
        prefix="language_model.model.",
    ),
}


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    for number, (name, recipe) in enumerate(RECIPES.items()):
        make(FOLDER / name, recipe, np.random.default_rng(20261123 + number))
    provenance()


def make(folder: Path, recipe: Recipe, rng: np.random.Generator) -> None:
    """Writes one checkpoint and its golden.npz, and checks that transformers reads the files as we meant them."""
    folder.mkdir(parents=True)
    settings = dict(recipe.config.get("text_config", recipe.config))
    config = Gemma3TextConfig(**settings, attn_implementation="eager")
    model = Gemma3ForCausalLM(config).float().eval()
    weights = {name: random_weight(name, p.shape, rng).to(recipe.dtype) for name, p in model.model.named_parameters()}
    model.model.load_state_dict({name: w.float() for name, w in weights.items()})
    model.tie_weights()

    (folder / "config.json").write_text(json.dumps(recipe.config, indent=2) + "\n")
    tensors = {recipe.prefix + name: w for name, w in weights.items()}
    if "text_config" in recipe.config:
        for name in (
            "vision_tower.vision_model.post_layernorm.weight",
            "multi_modal_projector.mm_soft_emb_norm.weight",
        ):
            tensors[name] = torch.zeros(8, dtype=recipe.dtype)
    save(folder, tensors, recipe.shards)

    tokens = torch.from_numpy(rng.integers(0, config.vocab_size, recipe.prompt))
    tokens[0] = 2
    with torch.no_grad():
        found = model.model(tokens[None], output_hidden_states=True)
        hidden, layers = found.last_hidden_state[0], torch.cat(found.hidden_states[1:-1])[:, -LAYER_TOKENS:]
        logits = model(tokens[None]).logits[0]
        text = tokens
        for _ in range(ANSWER_TOKENS):
            text = torch.cat([text, model(text[None]).logits[0, -1:].argmax(-1)])
    if "text_config" not in recipe.config:
        again = Gemma3ForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        with torch.no_grad():
            assert torch.equal(again(tokens[None]).logits[0], logits), f"{folder.name}: the files say something else"
    print(f"{folder.name:10} logits: deviation {logits.std():.2f}, largest {logits.abs().max():.1f}")
    np.savez_compressed(
        folder / "golden.npz",
        tokens=tokens.numpy().astype(np.int32),
        layers=layers.numpy(),
        hidden=hidden.numpy(),
        logits=logits.numpy(),
        answer=text[len(tokens) :].numpy().astype(np.int32),
    )


def random_weight(name: str, shape: torch.Size, rng: np.random.Generator) -> torch.Tensor:
    """Weights of a size that keeps every part awake: logits of 1 to 10, attention neither flat nor hard."""
    if name.endswith("norm.weight"):
        values = rng.uniform(-0.5, 1.0, shape)  # the factor is 1 more
    elif name == "embed_tokens.weight":
        values = rng.normal(0, 0.4, shape)
    else:
        values = rng.normal(0, shape[1] ** -0.5, shape)
    return torch.from_numpy(values.astype(np.float32))


def save(folder: Path, tensors: dict[str, torch.Tensor], shards: int) -> None:
    """model.safetensors, or `shards` files of it and their index."""
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names = [f"model-{i + 1:05}-of-{shards:05}.safetensors" for i in range(shards)]
    where = {tensor: names[i * shards // len(tensors)] for i, tensor in enumerate(tensors)}
    for name in names:
        part = {tensor: w for tensor, w in tensors.items() if where[tensor] == name}
        save_file(part, folder / name, metadata={"format": "pt"})
    total = sum(w.numel() * w.element_size() for w in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def provenance() -> None:
    """Where the goldens come from, for those who doubt them."""
    lines = [
        "# Written by scripts/make_gemma3_goldens.py.",
        'oracle = "transformers Gemma3ForCausalLM, float32, eager attention, CPU"',
        'command = "python scripts/make_gemma3_goldens.py"',
        'embedding_scale = "sqrt(hidden) in float32: transformers rounds it to the dtype it computes in"',
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
