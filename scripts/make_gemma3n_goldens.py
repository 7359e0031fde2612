"""Makes tests/conformance/goldens_gemma3n: tiny random Gemma 3n checkpoints and what transformers computes from them.

Run in an environment of its own with torch, transformers and safetensors (versions end up in PROVENANCE.toml):

    python scripts/make_gemma3n_goldens.py

The oracle is transformers' Gemma3nForCausalLM in float32 with eager attention, on the weights as they are stored.
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
from transformers import Gemma3nForCausalLM, Gemma3nTextConfig

FOLDER = Path(__file__).parents[1] / "tests" / "conformance" / "goldens_gemma3n"
GENERAL = {"architectures": ["Gemma3nForCausalLM"], "model_type": "gemma3n_text"}
ANSWER = 12  # tokens continued greedily
LOOK_EVERY = 7  # states after each layer are kept of every seventh token

OTHER_SENSES = (
    "model.vision_tower.timm_model.conv_stem.conv.weight",
    "model.audio_tower.conformer.0.norm.weight",
    "model.embed_vision.embedding.weight",
    "model.embed_audio.hard_embedding_norm.weight",
)


@dataclass(frozen=True)
class Recipe:
    """One checkpoint: config.json as it is written, how the weights are stored, how long the prompt is.

    unread: whether layers that read another's keys and values have weights for their own all the same, as published
    files do.
    """

    about: str
    config: Mapping[str, Any]
    dtype: torch.dtype
    prompt: int
    prefix: str = "model."
    unread: bool = False


RECIPES = {
    "patterns": Recipe(
        "8 layers in the usual order, 2 of them share; cuts of three strengths; window 8 of 40 tokens; odd rank; f32",
        {
            **GENERAL,
            "hidden_size": 24,
            "intermediate_size": 30,
            "num_hidden_layers": 8,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 6,
            "hidden_size_per_layer_input": 5,
            "vocab_size": 61,
            "vocab_size_per_layer_input": 53,
            "num_kv_shared_layers": 2,
            "laurel_rank": 7,
            "activation_sparsity_pattern": [0.95, 0.5, 0.3, 0.0, 0.8, 0.0, 0.95, 0.0],
            "sliding_window": 8,
            "final_logit_softcapping": 9.0,
            "max_position_embeddings": 256,
        },
        torch.float32,
        prompt=40,
    ),
    "sliced": Recipe(
        "a width for each layer; 3 streams; 4 of 7 layers share, both kinds, in an order of their own; odd bases; bf16",
        {
            **GENERAL,
            "hidden_size": 28,
            "intermediate_size": [18, 34, 25, 18, 40, 33, 18],
            "num_hidden_layers": 7,
            "num_attention_heads": 4,
            "num_key_value_heads": 1,
            "head_dim": 10,
            "hidden_size_per_layer_input": 9,
            "vocab_size": 67,
            "vocab_size_per_layer_input": 67,
            "altup_num_inputs": 3,
            "num_kv_shared_layers": 4,
            "laurel_rank": 3,
            "activation_sparsity_pattern": [0.9, 0.0, 0.9, 0.0, 0.0, 0.0, 0.6],
            "layer_types": [
                "full_attention",
                "sliding_attention",
                "sliding_attention",
                "sliding_attention",
                "full_attention",
                "full_attention",
                "sliding_attention",
            ],
            "rope_parameters": {
                "full_attention": {"rope_type": "default", "rope_theta": 50000.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 777.0},
            },
            "rms_norm_eps": 0.003,
            "sliding_window": 9,
            "max_position_embeddings": 256,
        },
        torch.bfloat16,
        prompt=45,
    ),
    "long": Recipe(
        "window 37 of 270 tokens: pages, rings, spans; 2 of 5 layers share; nothing cut; rank 64; bf16",
        {
            **GENERAL,
            "hidden_size": 24,
            "intermediate_size": 26,
            "num_hidden_layers": 5,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "hidden_size_per_layer_input": 6,
            "vocab_size": 59,
            "vocab_size_per_layer_input": 51,
            "num_kv_shared_layers": 2,
            "layer_types": [
                "sliding_attention",
                "full_attention",
                "sliding_attention",
                "full_attention",
                "sliding_attention",
            ],
            "sliding_window": 37,
            "max_position_embeddings": 512,
        },
        torch.bfloat16,
        prompt=270,
    ),
    "tower": Recipe(
        "the text tower of a multimodal file, with keys' and values' weights in all layers, old keys for rope, a list "
        "of equal widths, the ten cut layers of the default; bf16",
        {
            "architectures": ["Gemma3nForConditionalGeneration"],
            "model_type": "gemma3n",
            "text_config": {
                "model_type": "gemma3n_text",
                "hidden_size": 16,
                "intermediate_size": [80] * 12,
                "num_hidden_layers": 12,
                "num_attention_heads": 2,
                "num_key_value_heads": 1,
                "head_dim": 8,
                "hidden_size_per_layer_input": 4,
                "vocab_size": 71,
                "vocab_size_per_layer_input": 64,
                "num_kv_shared_layers": 6,
                "rope_theta": 1000000.0,
                "rope_local_base_freq": 10000.0,
                "rope_scaling": None,
                "sliding_window": 16,
                "max_position_embeddings": 256,
            },
            "vision_config": {"model_type": "gemma3n_vision", "hidden_size": 8},
            "audio_config": {"model_type": "gemma3n_audio", "hidden_size": 8},
        },
        torch.bfloat16,
        prompt=40,
        prefix="model.language_model.",
        unread=True,
    ),
}


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    for number, (name, recipe) in enumerate(RECIPES.items()):
        make(FOLDER / name, recipe, np.random.default_rng(20261213 + number))
    provenance()


def make(folder: Path, recipe: Recipe, rng: np.random.Generator) -> None:
    """Writes one checkpoint and its golden.npz, and checks that transformers reads the files as we meant them."""
    folder.mkdir(parents=True)
    settings = dict(recipe.config.get("text_config", recipe.config))
    config = Gemma3nTextConfig(**settings, attn_implementation="eager")
    model = Gemma3nForCausalLM(config).float().eval()
    weights = {name: random_weight(name, p.shape, rng).to(recipe.dtype) for name, p in model.model.named_parameters()}
    model.model.load_state_dict({name: w.float() for name, w in weights.items()})
    model.tie_weights()

    (folder / "config.json").write_text(json.dumps(recipe.config, indent=2) + "\n")
    if recipe.unread:
        weights |= unread_weights(config, recipe.dtype, rng)
    tensors = {recipe.prefix + name: w for name, w in weights.items()}
    if "text_config" in recipe.config:
        tensors |= {name: torch.zeros(8, dtype=recipe.dtype) for name in OTHER_SENSES}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    tokens = torch.from_numpy(rng.integers(0, config.vocab_size, recipe.prompt))
    tokens[0] = 2
    tokens[-3] = config.vocab_size - 1  # without a vector of its own, where there are such tokens
    with torch.no_grad():
        out = model.model(tokens[None], output_hidden_states=True)
        logits = model(tokens[None]).logits[0]
        answer = continued(model, tokens)
    states = torch.stack(out.hidden_states)[1:, :, 0]  # after each layer: [L, S, T, D]
    assert states.shape == (config.num_hidden_layers, config.altup_num_inputs, len(tokens), config.hidden_size)
    if "text_config" not in recipe.config:
        again = Gemma3nForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        with torch.no_grad():
            assert torch.equal(again(tokens[None]).logits[0], logits), f"{folder.name}: the files say something else"
    print(f"{folder.name:10} logits: deviation {logits.std():.2f}, largest {logits.abs().max():.1f}; {answer.tolist()}")
    np.savez_compressed(
        folder / "golden.npz",
        tokens=tokens.numpy().astype(np.int32),
        hidden=out.last_hidden_state[0].numpy(),
        states=states.permute(0, 2, 1, 3)[:, ::LOOK_EVERY].numpy(),
        logits=logits.numpy(),
        answer=answer.numpy().astype(np.int32),
    )


def continued(model: Gemma3nForCausalLM, tokens: torch.Tensor) -> torch.Tensor:
    """The greedy answer. No token of a random prompt is padding, so all are to be seen."""
    settings = {"max_new_tokens": ANSWER, "do_sample": False, "eos_token_id": None}
    return model.generate(tokens[None], attention_mask=torch.ones_like(tokens[None]), **settings)[0, len(tokens) :]


def random_weight(name: str, shape: torch.Size, rng: np.random.Generator) -> torch.Tensor:
    """Weights of a size that keeps every part awake: logits of 1 to 10, attention neither flat nor hard.

    What layers add is smaller than the streams, so that 12 layers in a row do not multiply the errors of float32.
    """
    if name.endswith(("q_norm.weight", "k_norm.weight")) or ".post_" in name:
        values = rng.uniform(0.2, 1.0, shape)
    elif name.endswith(("norm.weight", "correct_output_scale")):
        values = rng.uniform(0.5, 2.0, shape)
    elif name == "embed_tokens.weight":
        values = rng.normal(0, 1, shape)
    elif name == "embed_tokens_per_layer.weight":
        values = rng.normal(0, 0.7, shape)
    elif name.endswith("modality_router.weight"):
        values = rng.normal(0, 0.5 * shape[1] ** 0.5, shape)  # what it multiplies is divided by that width
    elif name.endswith("_coefs.weight"):
        values = rng.normal(0, 0.25, shape)
    elif name == "altup_projections.1.weight":
        values = rng.normal(0, 1e-4 * shape[1] ** -0.5, shape)  # below the least size that is scaled up
    else:
        values = rng.normal(0, shape[1] ** -0.5, shape)
    return torch.from_numpy(values.astype(np.float32))


def unread_weights(config: Gemma3nTextConfig, dtype: torch.dtype, rng: np.random.Generator) -> dict[str, torch.Tensor]:
    """What transformers ignores in layers that read another's keys and values."""
    width = config.num_key_value_heads * config.head_dim
    shapes = {
        "k_proj": (width, config.hidden_size),
        "v_proj": (width, config.hidden_size),
        "k_norm": (config.head_dim,),
    }
    shared = range(config.num_hidden_layers - config.num_kv_shared_layers, config.num_hidden_layers)
    names = {f"layers.{i}.self_attn.{part}.weight": shape for i in shared for part, shape in shapes.items()}
    return {name: random_weight(name, torch.Size(shape), rng).to(dtype) for name, shape in names.items()}


def provenance() -> None:
    """Where the goldens come from, for those who doubt them."""
    lines = [
        "# Written by scripts/make_gemma3n_goldens.py.",
        'oracle = "transformers Gemma3nForCausalLM, float32, eager attention, CPU"',
        'command = "python scripts/make_gemma3n_goldens.py"',
        'embedding_scale = "sqrt(hidden) in float32: transformers rounds it to the dtype it computes in"',
        f'states = "the streams after each layer, of every {LOOK_EVERY}th token: [layers, tokens, streams, width]"',
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
