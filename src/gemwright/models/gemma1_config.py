"""The numbers that make one Gemma 1, 1.1 or CodeGemma model, read from either kind of file and written to one.

Source: `GemmaConfig` of transformers 5.24 for names and defaults; llama.cpp's gemma loader for GGUF keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gemwright.errors import UnsupportedModel
from gemwright.models.reading import (
    MAX_CONTEXT,
    MAX_LAYERS,
    MAX_VOCABULARY,
    check_positive,
    check_shape,
    integer,
    number,
    plain_rope_base,
    refuse_unusual,
    vocabulary_size,
)

BASE = 10_000.0
VOCABULARY = 256_000
CONTEXT_TOKENS = 8192
HEAD_DIM = 256


@dataclass(frozen=True)
class Config:
    """Sizes and constants; widths in values, context in tokens. rope_base: of the angles of all layers."""

    vocabulary: int
    hidden: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_dim: int
    layers: int
    eps: float
    rope_base: float
    context_tokens: int

    def __post_init__(self) -> None:
        check_shape(self)
        check_positive({"eps": self.eps, "rope_base": self.rope_base})

    @classmethod
    def from_gguf(cls, meta: Mapping[str, Any]) -> Config:
        """From GGUF metadata; the published values for keys that old files lack."""
        heads = integer(meta, "gemma.attention.head_count")
        head_dim = integer(meta, "gemma.attention.key_length", HEAD_DIM)
        if integer(meta, "gemma.attention.value_length", head_dim) != head_dim:
            raise UnsupportedModel("Key and value heads differ in width, which no Gemma 1 has.")
        if (scaling := meta.get("gemma.rope.scaling.type", "none")) != "none":
            raise UnsupportedModel(f"Rope scaling {scaling!r} is not one that Gemma 1 uses.")
        return cls(
            vocabulary=vocabulary_size(meta, VOCABULARY),
            hidden=integer(meta, "gemma.embedding_length"),
            feed_forward=integer(meta, "gemma.feed_forward_length"),
            heads=heads,
            kv_heads=integer(meta, "gemma.attention.head_count_kv", heads),
            head_dim=head_dim,
            layers=integer(meta, "gemma.block_count", most=MAX_LAYERS),
            eps=number(meta, "gemma.attention.layer_norm_rms_epsilon", 1e-6),
            rope_base=number(meta, "gemma.rope.freq_base", BASE),
            context_tokens=integer(meta, "gemma.context_length", CONTEXT_TOKENS, most=MAX_CONTEXT),
        )

    @classmethod
    def from_hf(cls, config: Mapping[str, Any]) -> Config:
        """From a config.json; what it leaves out is as in the 7B."""
        refuse_unusual(config, _USUAL, "Gemma 1")
        return cls(
            vocabulary=integer(config, "vocab_size", VOCABULARY, most=MAX_VOCABULARY),
            hidden=integer(config, "hidden_size", 3072),
            feed_forward=integer(config, "intermediate_size", 24_576),
            heads=integer(config, "num_attention_heads", 16),
            kv_heads=integer(config, "num_key_value_heads", 16),
            head_dim=integer(config, "head_dim", HEAD_DIM),
            layers=integer(config, "num_hidden_layers", 28, most=MAX_LAYERS),
            eps=number(config, "rms_norm_eps", 1e-6),
            rope_base=plain_rope_base(config, BASE),
            context_tokens=integer(config, "max_position_embeddings", CONTEXT_TOKENS, most=MAX_CONTEXT),
        )


_USUAL: dict[str, tuple[object, ...]] = {
    "use_bidirectional_attention": (False, None),
    "attention_bias": (False, None),
    # "gelu" in the first releases means the tanh form all the same: transformers issue 29402
    "hidden_act": ("gelu_pytorch_tanh", "gelu", None),
    "hidden_activation": ("gelu_pytorch_tanh", None),
    "tie_word_embeddings": (True, None),
}


def gguf_metadata(config: Config) -> dict[str, Any]:
    """The keys `gemma.*` that llama.cpp and we read: the inverse of `Config.from_gguf`."""
    c = config
    return {
        "gemma.context_length": c.context_tokens,
        "gemma.embedding_length": c.hidden,
        "gemma.block_count": c.layers,
        "gemma.feed_forward_length": c.feed_forward,
        "gemma.attention.head_count": c.heads,
        "gemma.attention.head_count_kv": c.kv_heads,
        "gemma.attention.key_length": c.head_dim,
        "gemma.attention.value_length": c.head_dim,
        "gemma.attention.layer_norm_rms_epsilon": c.eps,
        "gemma.rope.freq_base": c.rope_base,
    }
