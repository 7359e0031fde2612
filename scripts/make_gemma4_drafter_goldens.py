"""Makes tests/conformance/goldens_gemma4_drafters: tiny random drafters for some of tests/conformance/goldens_gemma4.

Run in an environment of its own with torch, transformers and safetensors (versions end up in PROVENANCE.toml), after
make_gemma4_goldens.py:

    python scripts/make_gemma4_drafter_goldens.py

The oracle is transformers' Gemma4AssistantForCausalLM in float32 with eager attention, driven as its
SinglePositionMultiTokenCandidateGenerator drives it.
"""

from __future__ import annotations

import json
import platform
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import (
    Gemma4AssistantConfig,
    Gemma4AssistantForCausalLM,
    Gemma4ForCausalLM,
    Gemma4TextConfig,
    Gemma4UnifiedAssistantConfig,
    Gemma4UnifiedAssistantForCausalLM,
    Gemma4UnifiedForCausalLM,
    Gemma4UnifiedTextConfig,
)

TARGETS = Path(__file__).parents[1] / "tests" / "conformance" / "goldens_gemma4"
FOLDER = TARGETS.parent / "goldens_gemma4_drafters"
NAMES = ("31b", "12b", "e2b")
DRAFTS = 6
INHERITED = (
    "rms_norm_eps",
    "num_attention_heads",
    "num_key_value_heads",
    "num_global_key_value_heads",
    "per_layer_config",
    "head_dim",
    "global_head_dim",
    "attention_k_eq_v",
    "vocab_size",
    "sliding_window",
    "rope_parameters",
)


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    for number, name in enumerate(NAMES):
        make(name, np.random.default_rng(20261127 + number))
    lines = [
        "# Written by scripts/make_gemma4_drafter_goldens.py.",
        'oracle = "transformers Gemma4AssistantForCausalLM and its unified kin, float32, eager attention, CPU"',
        'command = "python scripts/make_gemma4_drafter_goldens.py"',
        'licence = "random numbers drawn by the script; no published weights"',
        "",
        "[versions]",
        f'python = "{platform.python_version()}"',
        f'torch = "{torch.__version__}"',
        f'transformers = "{transformers.__version__}"',
        f'numpy = "{np.__version__}"',
    ]
    (FOLDER / "PROVENANCE.toml").write_text("\n".join(lines) + "\n")


def make(name: str, rng: np.random.Generator) -> None:
    """A drafter of 3 layers for the target of that name, and what it drafts after the target's prompt."""
    whole = json.loads((TARGETS / name / "config.json").read_text())
    text = whole.get("text_config", whole)
    unified = text["model_type"] == "gemma4_unified_text"
    target = target_model(name, text, unified)
    config = drafter_config(whole, text, unified)
    # Its mask counts the window as a distance, which is one key more than any token of the target sees.
    inner = {**config["text_config"], "sliding_window": config["text_config"]["sliding_window"] - 1}
    settings = {**config, "text_config": inner, "attn_implementation": "eager"}
    made = (Gemma4UnifiedAssistantConfig if unified else Gemma4AssistantConfig)(**settings)
    drafter = (Gemma4UnifiedAssistantForCausalLM if unified else Gemma4AssistantForCausalLM)(made).float().eval()
    weights = {key: random_weight(key, value.shape, rng).bfloat16() for key, value in drafter.state_dict().items()}
    weights.pop("lm_head.weight")
    drafter.load_state_dict({key: w.float() for key, w in weights.items()}, strict=False)
    drafter.tie_weights()

    folder = FOLDER / name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with np.load(TARGETS / name / "golden.npz") as arrays:
        tokens, first = torch.from_numpy(arrays["tokens"].astype(np.int64)), int(arrays["greedy"][0])
    draft, logits, states = drafted(target, drafter, tokens, first)
    print(f"{name:10} draft {draft}, logits {logits.std():.2f} around 0")
    np.savez_compressed(
        folder / "golden.npz", draft=np.array(draft, np.int32), logits=logits.numpy(), states=states.numpy()
    )


def target_model(name: str, text: dict[str, Any], unified: bool) -> Any:
    """The target as make_gemma4_goldens.py wrote it."""
    config = (Gemma4UnifiedTextConfig if unified else Gemma4TextConfig)(**text, attn_implementation="eager")
    model = (Gemma4UnifiedForCausalLM if unified else Gemma4ForCausalLM)(config).float().eval()
    stored = load_file(TARGETS / name / "model.safetensors")
    held = {key.removeprefix("model.").removeprefix("language_model."): w.float() for key, w in stored.items()}
    assert not model.model.load_state_dict(held, strict=False).missing_keys
    model.tie_weights()
    return model


def drafter_config(whole: dict[str, Any], text: dict[str, Any], unified: bool) -> dict[str, Any]:
    """config.json of a drafter: two local layers and a global one of the target's shapes, and a width of its own."""
    own = {key: text[key] for key in INHERITED if key in text and key != "per_layer_config"}
    if "per_layer_config" in text:
        own["per_layer_config"] = {"2": next(iter(text["per_layer_config"].values()))}
    own |= {
        "model_type": text["model_type"],
        "hidden_size": 24,
        "intermediate_size": 20,
        "num_hidden_layers": 3,
        "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
        "num_kv_shared_layers": 3,
    }
    if not unified:
        own |= {"hidden_size_per_layer_input": 0, "vocab_size_per_layer_input": 0}
    return {
        "architectures": ["Gemma4UnifiedAssistantForCausalLM" if unified else "Gemma4AssistantForCausalLM"],
        "model_type": "gemma4_unified_assistant" if unified else "gemma4_assistant",
        "backbone_hidden_size": text["hidden_size"],
        "text_config": own,
    }


def drafted(
    target: Any, drafter: Any, tokens: torch.Tensor, first: int
) -> tuple[list[int], torch.Tensor, torch.Tensor]:
    """The tokens drafted after `first`, the logits they were taken from, and the states handed on."""
    with torch.no_grad():
        seen = target.model(tokens[None], return_shared_kv_states=True)
        state, token = seen.last_hidden_state[:, -1:], first
        draft, logits, states = [], [], []
        for _ in range(DRAFTS):
            embedding = target.model.embed_tokens(torch.tensor([[token]]))
            out = drafter(
                inputs_embeds=torch.cat([embedding, state], dim=-1),
                position_ids=torch.tensor([[len(tokens)]]),
                shared_kv_states=seen.shared_kv_states,
                use_cache=False,
            )
            state, token = out.last_hidden_state, int(out.logits.argmax())
            draft.append(token)
            logits.append(out.logits[0, 0])
            states.append(state[0, 0])
    return draft, torch.stack(logits), torch.stack(states)


def random_weight(name: str, shape: torch.Size, rng: np.random.Generator) -> torch.Tensor:
    """As in make_gemma4_goldens.py."""
    if name.endswith("q_norm.weight"):
        values = rng.uniform(0.3, 1.0, shape)
    elif len(shape) == 1:
        values = rng.uniform(0.5, 1.5, shape)
    elif name.endswith("embed_tokens.weight"):
        values = rng.normal(0, 0.4, shape)
    else:
        values = rng.normal(0, shape[-1] ** -0.5, shape)
    return torch.from_numpy(values.astype(np.float32))


if __name__ == "__main__":
    main()
