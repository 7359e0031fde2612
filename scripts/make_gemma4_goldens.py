"""Makes tests/conformance/goldens_gemma4: tiny random Gemma 4 checkpoints and what transformers computes from them.

Run in an environment of its own with torch, transformers and safetensors (versions end up in PROVENANCE.toml):

    python scripts/make_gemma4_goldens.py

The oracle is transformers' Gemma4ForCausalLM or Gemma4UnifiedForCausalLM in float32 with eager attention, on the
weights as they are stored. The same seeds give the same checkpoints; goldens may differ in their last bits between
versions of torch.
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
from transformers import (
    Gemma4ForCausalLM,
    Gemma4TextConfig,
    Gemma4UnifiedForCausalLM,
    Gemma4UnifiedTextConfig,
)

FOLDER = Path(__file__).parents[1] / "tests" / "conformance" / "goldens_gemma4"
STATES = 16
"""Hidden states after each layer are kept for so many tokens, the last ones."""
GREEDY = 12
LOCAL, GLOBAL = "sliding_attention", "full_attention"
BASE: dict[str, Any] = {"rms_norm_eps": 1e-6, "hidden_size": 36, "num_attention_heads": 4, "head_dim": 8}
KEYS_AS_VALUES = {"attention_k_eq_v": True, "num_global_key_value_heads": 1}


@dataclass(frozen=True)
class Recipe:
    """One checkpoint: config.json as it is written, how the weights are stored, how long the prompt is.

    prefix: of tensor names. extra: tensors that are no part of the text model, with their shapes.
    """

    about: str
    config: Mapping[str, Any]
    dtype: torch.dtype = torch.bfloat16
    prompt: int = 40
    prefix: str = "model."
    extra: tuple[tuple[str, tuple[int, ...]], ...] = ()


RECIPES = {
    "e2b": Recipe(
        "per-layer embeddings; the last 3 of 7 layers share keys and have a doubled MLP; last owner is local; cap 4",
        {
            **BASE,
            "architectures": ["Gemma4ForCausalLM"],
            "model_type": "gemma4_text",
            "intermediate_size": 14,
            "num_hidden_layers": 7,
            "num_key_value_heads": 1,
            "global_head_dim": 20,
            "num_global_key_value_heads": None,
            "vocab_size": 61,
            "vocab_size_per_layer_input": 61,
            "hidden_size_per_layer_input": 7,
            "sliding_window": 8,
            "layer_types": [LOCAL, LOCAL, GLOBAL, LOCAL, LOCAL, LOCAL, GLOBAL],
            "num_kv_shared_layers": 3,
            "use_double_wide_mlp": True,
            "final_logit_softcapping": 4.0,
        },
    ),
    "e4b": Recipe(
        "the text tower of a multimodal file, unused keys of the sharing layers and other towers in it; layer_types "
        "left to the default, which makes 2 of 8 layers global and the last one against the pattern; cap 30",
        {
            "architectures": ["Gemma4ForConditionalGeneration"],
            "model_type": "gemma4",
            "text_config": {
                **BASE,
                "model_type": "gemma4_text",
                "intermediate_size": 18,
                "num_hidden_layers": 8,
                "num_key_value_heads": 2,
                "global_head_dim": 20,
                "vocab_size": 67,
                "vocab_size_per_layer_input": 67,
                "hidden_size_per_layer_input": 11,
                "sliding_window": 9,
                "num_kv_shared_layers": 2,
                "final_logit_softcapping": 30.0,
            },
            "vision_config": {"model_type": "gemma4_vision", "hidden_size": 8, "num_hidden_layers": 1},
            "audio_config": None,
        },
        prefix="model.language_model.",
        extra=(
            ("model.language_model.layers.6.self_attn.k_proj.weight", (16, 36)),
            ("model.language_model.layers.7.self_attn.v_proj.weight", (40, 36)),
            ("model.language_model.layers.7.self_attn.k_norm.weight", (20,)),
            ("model.vision_tower.std_bias", (8,)),
            ("model.audio_tower.output_proj.bias", (8,)),
            ("model.embed_vision.embedding_projection.weight", (36, 8)),
            ("model.embed_audio.embedding_projection.weight", (36, 8)),
        ),
    ),
    "31b": Recipe(
        "keys as values in global layers, which have fewer heads of them; window 37 of 110 tokens: pages and rings; "
        "odd rope bases, part and eps; no cap",
        {
            **BASE,
            **KEYS_AS_VALUES,
            "architectures": ["Gemma4ForCausalLM"],
            "model_type": "gemma4_text",
            "rms_norm_eps": 0.002,
            "intermediate_size": 22,
            "num_hidden_layers": 6,
            "num_key_value_heads": 2,
            "global_head_dim": 32,
            "vocab_size": 53,
            "hidden_size_per_layer_input": 0,
            "sliding_window": 37,
            "layer_types": [GLOBAL, LOCAL, LOCAL, GLOBAL, LOCAL, GLOBAL],
            "rope_parameters": {
                GLOBAL: {"rope_type": "proportional", "partial_rotary_factor": 0.4, "rope_theta": 70000.0},
                LOCAL: {"rope_type": "default", "rope_theta": 777.0},
            },
        },
        prompt=110,
    ),
    "12b": Recipe(
        "a unified multimodal file as transformers 5.24 writes one: per_layer_config; 4 key heads and 1; float16",
        {
            "architectures": ["Gemma4UnifiedForConditionalGeneration"],
            "model_type": "gemma4_unified",
            "text_config": {
                **BASE,
                "model_type": "gemma4_unified_text",
                "attention_k_eq_v": True,
                "intermediate_size": 20,
                "num_hidden_layers": 6,
                "num_key_value_heads": 4,
                "per_layer_config": {"5": {"head_dim": 16, "num_key_value_heads": 1}},
                "vocab_size": 71,
                "sliding_window": 16,
                "layer_types": [LOCAL] * 5 + [GLOBAL],
                "final_logit_softcapping": 30.0,
                "use_bidirectional_attention": "vision",
            },
        },
        torch.float16,
        prefix="model.language_model.",
        extra=(
            ("model.vision_embedder.patch_ln1.weight", (8,)),
            ("model.embed_vision.embedding_projection.weight", (36, 8)),
        ),
    ),
    "26b": Recipe(
        "3 of 7 experts beside a dense network; keys as values",
        {
            **BASE,
            **KEYS_AS_VALUES,
            "architectures": ["Gemma4ForCausalLM"],
            "model_type": "gemma4_text",
            "hidden_size": 32,
            "intermediate_size": 12,
            "num_hidden_layers": 4,
            "num_key_value_heads": 2,
            "global_head_dim": 16,
            "vocab_size": 59,
            "hidden_size_per_layer_input": 0,
            "sliding_window": 8,
            "layer_types": [LOCAL, LOCAL, LOCAL, GLOBAL],
            "final_logit_softcapping": 30.0,
            "enable_moe_block": True,
            "num_experts": 7,
            "top_k_experts": 3,
            "moe_intermediate_size": 16,
        },
    ),
    "one_expert": Recipe(
        "1 of 5 experts, wider than the dense network; values of their own; 70 tokens",
        {
            **BASE,
            "architectures": ["Gemma4ForCausalLM"],
            "model_type": "gemma4_text",
            "hidden_size": 32,
            "intermediate_size": 20,
            "num_hidden_layers": 3,
            "num_key_value_heads": 4,
            "global_head_dim": 16,
            "vocab_size": 45,
            "hidden_size_per_layer_input": 0,
            "sliding_window": 33,
            "layer_types": [LOCAL, LOCAL, GLOBAL],
            "final_logit_softcapping": 30.0,
            "enable_moe_block": True,
            "num_experts": 5,
            "top_k_experts": 1,
            "moe_intermediate_size": 32,
        },
        prompt=70,
    ),
    "everything": Recipe(
        "all of 3 experts, per-layer embeddings, sharing layers with a doubled MLP, keys as values; large eps; float32",
        {
            **BASE,
            **KEYS_AS_VALUES,
            "architectures": ["Gemma4ForCausalLM"],
            "model_type": "gemma4_text",
            "rms_norm_eps": 0.003,
            "hidden_size": 32,
            "intermediate_size": 12,
            "num_hidden_layers": 5,
            "num_key_value_heads": 2,
            "global_head_dim": 16,
            "vocab_size": 47,
            "vocab_size_per_layer_input": 47,
            "hidden_size_per_layer_input": 8,
            "sliding_window": 8,
            "layer_types": [LOCAL, LOCAL, GLOBAL, LOCAL, GLOBAL],
            "num_kv_shared_layers": 2,
            "use_double_wide_mlp": True,
            "final_logit_softcapping": 9.0,
            "enable_moe_block": True,
            "num_experts": 3,
            "top_k_experts": 3,
            "moe_intermediate_size": 16,
        },
        torch.float32,
    ),
}


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    for number, (name, recipe) in enumerate(RECIPES.items()):
        make(FOLDER / name, recipe, np.random.default_rng(20261125 + number))
    provenance()


def make(folder: Path, recipe: Recipe, rng: np.random.Generator) -> None:
    """Writes one checkpoint and its golden.npz, and checks that transformers reads the files as we meant them."""
    folder.mkdir(parents=True)
    settings = dict(recipe.config.get("text_config", recipe.config))
    unified = settings["model_type"].startswith("gemma4_unified")
    model_class = Gemma4UnifiedForCausalLM if unified else Gemma4ForCausalLM
    config = (Gemma4UnifiedTextConfig if unified else Gemma4TextConfig)(**settings, attn_implementation="eager")
    model = model_class(config).float().eval()
    state = model.model.state_dict()
    weights = {name: random_weight(name, value.shape, rng).to(recipe.dtype) for name, value in state.items()}
    model.model.load_state_dict({name: w.float() for name, w in weights.items()})
    model.tie_weights()

    (folder / "config.json").write_text(json.dumps(recipe.config, indent=2) + "\n")
    tensors = {recipe.prefix + name: w for name, w in weights.items()}
    tensors |= {name: torch.full(shape, 3.0, dtype=recipe.dtype) for name, shape in recipe.extra}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    tokens = torch.from_numpy(rng.integers(0, config.vocab_size, recipe.prompt))
    tokens[0] = 2
    with torch.no_grad():
        out = model(tokens[None], output_hidden_states=True)
        hidden = model.model(tokens[None]).last_hidden_state[0]
    assert torch.equal(out.hidden_states[-1][0], hidden)
    if "text_config" not in recipe.config:
        again = model_class.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        with torch.no_grad():
            assert torch.equal(again(tokens[None]).logits, out.logits), f"{folder.name}: the files say something else"
    answer, margin = greedy(model, tokens)
    logits = out.logits[0]
    print(
        f"{folder.name:10} logits: deviation {logits.std():.2f}, largest {logits.abs().max():.1f}; margin {margin:.3f}"
    )
    np.savez_compressed(
        folder / "golden.npz",
        tokens=tokens.numpy().astype(np.int32),
        states=torch.cat(out.hidden_states[:-1])[:, -STATES:].numpy(),
        hidden=hidden.numpy(),
        logits=logits.numpy(),
        greedy=np.array(answer, np.int32),
    )


def greedy(model: Any, tokens: torch.Tensor) -> tuple[list[int], float]:
    """What the model says after the prompt, computed without a cache, and how near it came to another token."""
    answer: list[int] = []
    margin = float("inf")
    for _ in range(GREEDY):
        with torch.no_grad():
            best = model(torch.cat([tokens, torch.tensor(answer, dtype=torch.int64)])[None]).logits[0, -1].topk(2)
        margin = min(margin, float(best.values[0] - best.values[1]))
        answer.append(int(best.indices[0]))
    return answer, margin


def random_weight(name: str, shape: torch.Size, rng: np.random.Generator) -> torch.Tensor:
    """Weights of a size that keeps every part awake: logits of 1 to 10, attention neither flat nor hard."""
    if name.endswith(("q_norm.weight", "k_norm.weight")):
        values = rng.uniform(0.3, 1.0, shape)
    elif len(shape) == 1:
        values = rng.uniform(0.5, 1.5, shape)
    elif name in ("embed_tokens.weight", "embed_tokens_per_layer.weight"):
        values = rng.normal(0, 0.4, shape)
    elif name.endswith("router.proj.weight"):
        values = rng.normal(0, 1.5, shape)
    else:
        values = rng.normal(0, shape[-1] ** -0.5, shape)
    return torch.from_numpy(values.astype(np.float32))


def provenance() -> None:
    """Where the goldens come from, for those who doubt them."""
    lines = [
        "# Written by scripts/make_gemma4_goldens.py.",
        'oracle = "transformers Gemma4ForCausalLM and Gemma4UnifiedForCausalLM, float32, eager attention, CPU"',
        'command = "python scripts/make_gemma4_goldens.py"',
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
