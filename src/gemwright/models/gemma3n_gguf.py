"""What a GGUF file says about a Gemma 3n text model: the inverse of `Config.from_gguf`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gemwright.errors import UnsupportedModel
from gemwright.models.gemma3n_config import Config


def gguf_metadata(config: Config) -> dict[str, Any]:
    """The keys `gemma3n.*` that llama.cpp and we read. Raises UnsupportedModel for what they cannot express.

    A GGUF file does not store the rank of the learned residuals, nor a model without a cap on its logits. Its table of
    per-layer embeddings has a row for every token (`Weight.gguf_rows`). llama.cpp (build 11434) ignores some keys: it
    computes every model with 20 owners and vectors of width 256, cuts the gates of the first ten layers, and divides
    their variance by one less than their number.
    """
    c = config
    widths = np.array(c.feed_forward, np.int32)
    metadata: dict[str, Any] = {
        "gemma3n.context_length": c.context_tokens,
        "gemma3n.embedding_length": c.hidden,
        "gemma3n.embedding_length_per_layer_input": c.per_layer_width,
        "gemma3n.block_count": c.layers,
        "gemma3n.feed_forward_length": widths if np.ptp(widths) else c.feed_forward[0],
        "gemma3n.activation_sparsity_scale": np.array([-np.inf if cut is None else cut for cut in c.cuts], np.float32),
        "gemma3n.attention.head_count": c.heads,
        "gemma3n.attention.head_count_kv": c.kv_heads,
        "gemma3n.attention.key_length": c.head_dim,
        "gemma3n.attention.value_length": c.head_dim,
        "gemma3n.attention.layer_norm_rms_epsilon": c.eps,
        "gemma3n.attention.sliding_window": max(*c.windows, 1),
        "gemma3n.attention.sliding_window_pattern": np.array(c.windows) > 0,
        "gemma3n.attention.shared_kv_layers": c.layers - c.owners,
        "gemma3n.rope.freq_base": c.global_base,
        "gemma3n.rope.freq_base_swa": c.local_base,
        "gemma3n.altup.active_idx": 0,
        "gemma3n.altup.num_inputs": c.streams,
    }
    if c.final_softcap:
        metadata["gemma3n.final_logit_softcapping"] = c.final_softcap
    tokens = {"tokenizer.ggml.token_type": range(c.vocabulary)}
    written = Config.from_gguf({**metadata, **tokens})
    if _in_float32(written) != _in_float32(replace(c, per_layer_vocabulary=c.vocabulary)):
        raise UnsupportedModel(
            f"GGUF cannot describe this model: it has learned residuals of rank {c.laurel_rank} and a cap of "
            f"{c.final_softcap:g} on its logits, and every Gemma 3n has rank {written.laurel_rank} and a cap."
        )
    return metadata


def _in_float32(value: Any) -> Any:
    """GGUF keeps numbers in float32, which is all that is compared."""
    if isinstance(value, Config):
        return {name: _in_float32(field) for name, field in vars(value).items()}
    if isinstance(value, tuple):
        return [_in_float32(item) for item in value]
    return float(np.float32(value)) if isinstance(value, float) else value
