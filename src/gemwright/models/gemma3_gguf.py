"""What a GGUF file says about a Gemma 3 text model: the inverse of `Config.from_gguf`."""

from __future__ import annotations

from typing import Any

from gemwright.errors import UnsupportedModel
from gemwright.models.gemma3_config import LOCAL_BASE, Config
from gemwright.models.reading import equal_in_float32


def gguf_metadata(config: Config) -> dict[str, Any]:
    """The keys `gemma3.*` that llama.cpp and we read. Raises UnsupportedModel for what they cannot express.

    A GGUF file does not store which layers have a window, nor the factor of the scores; both follow from its sizes.
    """
    c = config
    metadata: dict[str, Any] = {
        "gemma3.context_length": c.context_tokens,
        "gemma3.embedding_length": c.hidden,
        "gemma3.block_count": c.layers,
        "gemma3.feed_forward_length": c.feed_forward,
        "gemma3.attention.head_count": c.heads,
        "gemma3.attention.head_count_kv": c.kv_heads,
        "gemma3.attention.key_length": c.head_dim,
        "gemma3.attention.value_length": c.head_dim,
        "gemma3.attention.layer_norm_rms_epsilon": c.eps,
        "gemma3.attention.sliding_window": max(c.windows),
        "gemma3.rope.freq_base": c.global_base,
    }
    if c.local_base != LOCAL_BASE:
        metadata["gemma3.rope.freq_base_swa"] = c.local_base
    if c.global_stretch != 1.0:
        metadata |= {"gemma3.rope.scaling.type": "linear", "gemma3.rope.scaling.factor": c.global_stretch}
    tokens = {"tokenizer.ggml.token_type": range(c.vocabulary)}
    if not equal_in_float32(vars(Config.from_gguf({**metadata, **tokens})), vars(c)):
        raise UnsupportedModel("This model's windows or attention scale are not Gemma 3's, and GGUF cannot say others.")
    return metadata
