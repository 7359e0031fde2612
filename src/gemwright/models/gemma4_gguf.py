"""What a GGUF file says about a Gemma 4 text model: the inverse of `Config.from_gguf`."""

from __future__ import annotations

from typing import Any

import numpy as np

from gemwright.errors import UnsupportedModel
from gemwright.models.gemma4_config import Config, Experts, Heads
from gemwright.step import F32

_STILL = np.float32(1e30)
"""What llama.cpp divides the angle of a pair by that must not turn."""


def gguf_metadata(config: Config) -> dict[str, Any]:
    """The keys `gemma4.*` that llama.cpp and we read. Raises UnsupportedModel for what they cannot express."""
    c = config
    kv_heads = np.array([c.attention(i).kv_heads for i in range(c.layers)], np.int32)
    widths = np.array(c.feed_forward, np.int32)
    metadata: dict[str, Any] = {
        "gemma4.context_length": c.context_tokens,
        "gemma4.embedding_length": c.hidden,
        "gemma4.block_count": c.layers,
        "gemma4.feed_forward_length": widths if np.ptp(widths) else c.feed_forward[0],
        "gemma4.attention.head_count": c.heads,
        "gemma4.attention.head_count_kv": kv_heads if c.everywhere.projected == ("k",) else c.everywhere.kv_heads,
        "gemma4.attention.layer_norm_rms_epsilon": c.eps,
        "gemma4.attention.sliding_window": max(*c.windows, 1),
        "gemma4.attention.sliding_window_pattern": np.array(c.windows) > 0,
        "gemma4.attention.shared_kv_layers": c.layers - c.owners,
        "gemma4.embedding_length_per_layer_input": c.per_layer_width,
        "gemma4.final_logit_softcapping": c.final_softcap,
        **_attention("", c.everywhere),
        **_attention("_swa", c.nearby),
        **_experts(c.experts),
    }
    tokens = {"tokenizer.ggml.token_type": range(c.vocabulary)}
    if _in_float32(Config.from_gguf({**metadata, **tokens})) != _in_float32(c):
        raise UnsupportedModel("This model's attention is not Gemma 4's, and GGUF cannot describe another.")
    return metadata


def rope_freqs(config: Config) -> dict[str, F32]:
    """`rope_freqs.weight`: what the angles of each pair of a global head are divided by, of which they need [H / 2]."""
    factors = np.full(config.everywhere.width // 2, _STILL)
    factors[: config.everywhere.turned] = 1
    return {"rope_freqs.weight": factors}


def _attention(suffix: str, kind: Heads) -> dict[str, Any]:
    return {
        f"gemma4.attention.key_length{suffix}": kind.width,
        f"gemma4.attention.value_length{suffix}": kind.width,
        f"gemma4.rope.dimension_count{suffix}": kind.width,
        f"gemma4.rope.freq_base{suffix}": kind.base,
    }


def _experts(experts: Experts | None) -> dict[str, Any]:
    if experts is None:
        return {}
    return {
        "gemma4.expert_count": experts.total,
        "gemma4.expert_used_count": experts.used,
        "gemma4.expert_feed_forward_length": experts.width,
    }


def _in_float32(value: Any) -> Any:
    """GGUF keeps numbers in float32, which is all that is compared."""
    if isinstance(value, Config):
        return {name: _in_float32(field) for name, field in vars(value).items()}
    if isinstance(value, tuple):
        return [_in_float32(item) for item in value]
    return float(np.float32(value)) if isinstance(value, float) else value
