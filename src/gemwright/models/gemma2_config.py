"""The numbers that make one Gemma 2 model, read from either kind of file and written to one.

Source: `Gemma2Config` of transformers 5.24 for names and defaults; llama.cpp's gemma2 loader for GGUF keys.
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
    equal_in_float32,
    every_nth_global,
    integer,
    listed_windows,
    number,
    plain_rope_base,
    refuse_unusual,
    vocabulary_size,
)

BASE = 10_000.0
VOCABULARY = 256_000
CONTEXT_TOKENS = 8192
HEAD_DIM = 256
WINDOW = 4096
PATTERN = 2  # every second layer is global
ATTENTION_SOFTCAP = 50.0
FINAL_SOFTCAP = 30.0
LAYERS_OF_27B = 46


@dataclass(frozen=True)
class Config:
    """Sizes and constants; widths in values, windows and context in tokens.

    windows: for each layer the keys a token sees, itself included; 0 for a global layer, which sees all.
    query_scale: what scores are multiplied by. attention_softcap, final_softcap: of scores and of logits, 0 for none.
    """

    vocabulary: int
    hidden: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_dim: int
    windows: tuple[int, ...]
    eps: float
    query_scale: float
    attention_softcap: float
    final_softcap: float
    rope_base: float
    context_tokens: int

    @property
    def layers(self) -> int:
        return len(self.windows)

    def __post_init__(self) -> None:
        check_shape(self)
        check_positive({name: getattr(self, name) for name in ("eps", "query_scale", "rope_base")})

    @classmethod
    def from_gguf(cls, meta: Mapping[str, Any]) -> Config:
        """From GGUF metadata; llama.cpp's defaults for keys that old files lack."""
        layers = integer(meta, "gemma2.block_count", most=MAX_LAYERS)
        hidden = integer(meta, "gemma2.embedding_length")
        heads = integer(meta, "gemma2.attention.head_count")
        head_dim = integer(meta, "gemma2.attention.key_length", HEAD_DIM)
        if integer(meta, "gemma2.attention.value_length", head_dim) != head_dim:
            raise UnsupportedModel("Key and value heads differ in width, which no Gemma 2 has.")
        if (scaling := meta.get("gemma2.rope.scaling.type", "none")) != "none":
            raise UnsupportedModel(f"Rope scaling {scaling!r} is not one that Gemma 2 uses.")
        window = integer(meta, "gemma2.attention.sliding_window", WINDOW, most=MAX_CONTEXT)
        pattern = integer(meta, "gemma2.attention.sliding_window_pattern", PATTERN, most=MAX_LAYERS)
        return cls(
            vocabulary=vocabulary_size(meta, VOCABULARY),
            hidden=hidden,
            feed_forward=integer(meta, "gemma2.feed_forward_length"),
            heads=heads,
            kv_heads=integer(meta, "gemma2.attention.head_count_kv", heads),
            head_dim=head_dim,
            windows=every_nth_global(layers, window, pattern),
            eps=number(meta, "gemma2.attention.layer_norm_rms_epsilon", 1e-6),
            # GGUF does not store the scale; only the 27B does not use the width of a head
            query_scale=(hidden / heads if layers == LAYERS_OF_27B else head_dim) ** -0.5,
            attention_softcap=number(meta, "gemma2.attn_logit_softcapping", ATTENTION_SOFTCAP),
            final_softcap=number(meta, "gemma2.final_logit_softcapping", FINAL_SOFTCAP),
            rope_base=number(meta, "gemma2.rope.freq_base", BASE),
            context_tokens=integer(meta, "gemma2.context_length", CONTEXT_TOKENS, most=MAX_CONTEXT),
        )

    @classmethod
    def from_hf(cls, config: Mapping[str, Any]) -> Config:
        """From a config.json; what it leaves out is as in the 2B."""
        refuse_unusual(config, _USUAL, "Gemma 2")
        layers = integer(config, "num_hidden_layers", 26, most=MAX_LAYERS)
        window = integer(config, "sliding_window", WINDOW, most=MAX_CONTEXT)
        return cls(
            vocabulary=integer(config, "vocab_size", VOCABULARY, most=MAX_VOCABULARY),
            hidden=integer(config, "hidden_size", 2304),
            feed_forward=integer(config, "intermediate_size", 9216),
            heads=integer(config, "num_attention_heads", 8),
            kv_heads=integer(config, "num_key_value_heads", 4),
            head_dim=integer(config, "head_dim", HEAD_DIM),
            windows=listed_windows(config, layers, window) or every_nth_global(layers, window, PATTERN),
            eps=number(config, "rms_norm_eps", 1e-6),
            query_scale=number(config, "query_pre_attn_scalar", 256.0) ** -0.5,
            attention_softcap=_softcap(config, "attn_logit_softcapping", ATTENTION_SOFTCAP),
            final_softcap=_softcap(config, "final_logit_softcapping", FINAL_SOFTCAP),
            rope_base=plain_rope_base(config, BASE),
            context_tokens=integer(config, "max_position_embeddings", CONTEXT_TOKENS, most=MAX_CONTEXT),
        )


_USUAL: dict[str, tuple[object, ...]] = {
    "use_bidirectional_attention": (False, None),
    "attention_bias": (False, None),
    "hidden_activation": ("gelu_pytorch_tanh", None),
    "tie_word_embeddings": (True, None),
}


def _softcap(config: Mapping[str, Any], key: str, default: float) -> float:
    """A file that says null means no cap; one that says nothing means the published one."""
    return 0.0 if key in config and config[key] is None else number(config, key, default)


def gguf_metadata(config: Config) -> dict[str, Any]:
    """The keys `gemma2.*` that llama.cpp and we read. Raises UnsupportedModel for what they cannot express.

    A GGUF file does not store which layers have a window, nor the factor of the scores; both follow from its sizes.
    """
    c = config
    metadata: dict[str, Any] = {
        "gemma2.context_length": c.context_tokens,
        "gemma2.embedding_length": c.hidden,
        "gemma2.block_count": c.layers,
        "gemma2.feed_forward_length": c.feed_forward,
        "gemma2.attention.head_count": c.heads,
        "gemma2.attention.head_count_kv": c.kv_heads,
        "gemma2.attention.key_length": c.head_dim,
        "gemma2.attention.value_length": c.head_dim,
        "gemma2.attention.layer_norm_rms_epsilon": c.eps,
        "gemma2.attention.sliding_window": max(c.windows) or WINDOW,
        "gemma2.rope.freq_base": c.rope_base,
    }
    caps = {"attn_logit_softcapping": c.attention_softcap, "final_logit_softcapping": c.final_softcap}
    metadata |= {f"gemma2.{name}": cap for name, cap in caps.items() if cap}
    tokens = {"tokenizer.ggml.token_type": range(c.vocabulary)}
    if not equal_in_float32(vars(Config.from_gguf({**metadata, **tokens})), vars(c)):
        raise UnsupportedModel(
            "This model's windows, attention scale or soft caps are not Gemma 2's, and GGUF cannot say others."
        )
    return metadata
