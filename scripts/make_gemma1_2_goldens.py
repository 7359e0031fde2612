"""Makes tests/conformance/goldens_gemma1_2: tiny random checkpoints of Gemma 1, Gemma 2 and VaultGemma, and what
transformers computes from them.

Run in an environment of its own with torch, transformers and safetensors (versions end up in PROVENANCE.toml):

    python scripts/make_gemma1_2_goldens.py

The oracle is the class of transformers that `architectures` names, in float32 with eager attention, on the weights as
they are stored. The same seeds give the same checkpoints; goldens may differ in their last bits between versions of
torch.
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

FOLDER = Path(__file__).parents[1] / "tests" / "conformance" / "goldens_gemma1_2"
SEED = 20261125
ANSWER_TOKENS = 12  # of the greedy continuation
SHOWN = 40  # tokens at the end whose states after each layer are kept

GEMMA1 = {"architectures": ["GemmaForCausalLM"], "model_type": "gemma"}
GEMMA2 = {"architectures": ["Gemma2ForCausalLM"], "model_type": "gemma2"}
VAULT = {"architectures": ["VaultGemmaForCausalLM"], "model_type": "vaultgemma"}


@dataclass(frozen=True)
class Recipe:
    """One checkpoint: config.json as it is written, how the weights are stored, how long the prompt is."""

    about: str
    config: Mapping[str, Any]
    dtype: torch.dtype
    prompt: int


RECIPES = {
    "gemma1_mqa": Recipe(
        'one key head for 4; "gelu" as the first releases say; old rope keys with another base and eps; bf16',
        {
            **GEMMA1,
            "hidden_act": "gelu",
            "rms_norm_eps": 0.002,
            "rope_theta": 500.0,
            "rope_scaling": None,
            "hidden_size": 40,
            "intermediate_size": 44,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 1,
            "head_dim": 12,
            "vocab_size": 97,
        },
        torch.bfloat16,
        prompt=45,
    ),
    "gemma1_mha": Recipe(
        "3 key heads for 3, wider together than the hidden state; 270 tokens: pages and spans; new rope keys; bf16",
        {
            **GEMMA1,
            "hidden_act": "gelu_pytorch_tanh",
            "hidden_activation": "gelu_pytorch_tanh",
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
            "hidden_size": 32,
            "intermediate_size": 52,
            "num_hidden_layers": 2,
            "num_attention_heads": 3,
            "num_key_value_heads": 3,
            "head_dim": 16,
            "vocab_size": 61,
        },
        torch.bfloat16,
        prompt=270,
    ),
    "gemma1_defaults": Recipe(
        "6 heads on 2 of width 20, 120 of 56; eps, base and context left to their defaults; f16",
        {
            **GEMMA1,
            "hidden_size": 56,
            "intermediate_size": 38,
            "num_hidden_layers": 4,
            "num_attention_heads": 6,
            "num_key_value_heads": 2,
            "head_dim": 20,
            "vocab_size": 75,
        },
        torch.float16,
        prompt=40,
    ),
    "gemma2_grouped": Recipe(
        "4 heads on 2; window 8 of 45 tokens; scalar that is no head_dim; caps 2 and 3 of scores and logits; bf16",
        {
            **GEMMA2,
            "rope_theta": 10000.0,
            "hidden_size": 40,
            "intermediate_size": 44,
            "num_hidden_layers": 5,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 12,
            "query_pre_attn_scalar": 7,
            "vocab_size": 97,
            "sliding_window": 8,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 3.0,
        },
        torch.bfloat16,
        prompt=45,
    ),
    "gemma2_irregular": Recipe(
        "layers in an order of their own; window 37; 270 tokens: pages, rings, spans; odd base and eps; f16",
        {
            **GEMMA2,
            "rms_norm_eps": 0.003,
            "rope_parameters": {"rope_type": "default", "rope_theta": 777.0},
            "hidden_size": 40,
            "intermediate_size": 30,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "head_dim": 8,
            "query_pre_attn_scalar": 5,
            "vocab_size": 61,
            "sliding_window": 37,
            "layer_types": ["full_attention", "sliding_attention", "sliding_attention", "full_attention"],
            "attn_logit_softcapping": 1.5,
            "final_logit_softcapping": 5.0,
        },
        torch.float16,
        prompt=270,
    ),
    "gemma2_bare": Recipe(
        "one key head for 2, 32 of 24; scalar of the width of a head; most fields, caps among them, left out; bf16",
        {
            **GEMMA2,
            "hidden_size": 24,
            "intermediate_size": 36,
            "num_hidden_layers": 4,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 16,
            "query_pre_attn_scalar": 16,
            "vocab_size": 83,
            "sliding_window": 16,
        },
        torch.bfloat16,
        prompt=70,
    ),
    "gemma2_27b": Recipe(
        "46 layers, by which GGUF knows the model whose scalar is hidden width over heads (12, not 8); bf16",
        {
            **GEMMA2,
            "hidden_size": 24,
            "intermediate_size": 12,
            "num_hidden_layers": 46,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 8,
            "query_pre_attn_scalar": 12,
            "vocab_size": 61,
            "sliding_window": 11,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 8.0,
        },
        torch.bfloat16,
        prompt=40,
    ),
    "vaultgemma": Recipe(
        "no norms after attention and feed-forward; window 9 of 45 tokens; scalar, caps and base of its own; bf16",
        {
            **VAULT,
            "rope_theta": 900.0,
            "rms_norm_eps": 0.002,
            "hidden_size": 40,
            "intermediate_size": 44,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 12,
            "query_pre_attn_scalar": 7,
            "vocab_size": 97,
            "sliding_window": 9,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 3.0,
        },
        torch.bfloat16,
        prompt=45,
    ),
}


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    for number, (name, recipe) in enumerate(RECIPES.items()):
        make(FOLDER / name, recipe, np.random.default_rng(SEED + number))
    provenance()


def make(folder: Path, recipe: Recipe, rng: np.random.Generator) -> None:
    """Writes one checkpoint and its golden.npz: what transformers computes from the very files."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(recipe.config, indent=2) + "\n")
    config = transformers.AutoConfig.from_pretrained(folder)
    shapes = transformers.AutoModelForCausalLM.from_config(config).model.named_parameters()
    weights = {f"model.{name}": random_weight(name, p.shape, rng).to(recipe.dtype) for name, p in shapes}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    model.eval()
    tokens = torch.from_numpy(rng.integers(3, config.vocab_size, recipe.prompt))
    tokens[0] = 2
    with torch.no_grad():
        out = model(tokens[None], output_hidden_states=True, use_cache=False)
    answer = greedy(model, tokens)
    logits = out.logits[0]
    print(f"{folder.name:16} logits: deviation {logits.std():.2f}, largest {logits.abs().max():.1f}; {answer}")
    np.savez_compressed(
        folder / "golden.npz",
        tokens=tokens.numpy().astype(np.int32),
        layers=torch.cat(out.hidden_states[1:-1])[:, -SHOWN:].numpy(),  # after each layer but the last
        hidden=out.hidden_states[-1][0].numpy(),
        logits=logits.numpy(),
        answer=np.array(answer, np.int32),
    )


def greedy(model: torch.nn.Module, prompt: torch.Tensor) -> list[int]:
    """The most likely token, again and again, each from the whole text anew."""
    tokens = prompt.tolist()
    for _ in range(ANSWER_TOKENS):
        with torch.no_grad():
            logits = model(torch.tensor([tokens]), use_cache=False).logits[0, -1]
        tokens.append(int(logits.argmax()))
    return tokens[len(prompt) :]


def random_weight(name: str, shape: torch.Size, rng: np.random.Generator) -> torch.Tensor:
    """Weights of a size that keeps every part awake: attention not flat, caps that bend and hide nothing."""
    if name.endswith("norm.weight"):
        values = rng.uniform(-0.5, 1.0, shape)  # the factor is 1 more
    elif name == "embed_tokens.weight":
        values = rng.normal(0, 0.15, shape)  # so small that layers decide what comes next
    else:
        values = rng.normal(0, shape[1] ** -0.5, shape)
    return torch.from_numpy(values.astype(np.float32))


def provenance() -> None:
    """Where the goldens come from, for those who doubt them."""
    lines = [
        "# Written by scripts/make_gemma1_2_goldens.py.",
        'oracle = "transformers GemmaForCausalLM, Gemma2ForCausalLM and VaultGemmaForCausalLM, float32, eager, CPU"',
        'command = "python scripts/make_gemma1_2_goldens.py"',
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
        *(f"{name} = {json.dumps(recipe.about)}" for name, recipe in RECIPES.items()),
    ]
    (FOLDER / "PROVENANCE.toml").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
