"""The numbers that make one Gemma 3 text model, read from either kind of file.

Source: `Gemma3TextConfig` of transformers 5.23 for names and defaults; llama.cpp's gemma3 loader for GGUF keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gemwright.errors import ModelFormatError, UnsupportedModel
from gemwright.models.reading import (
    MAX_CONTEXT,
    MAX_LAYERS,
    MAX_VOCABULARY,
    check_positive,
    check_shape,
    every_nth_global,
    integer,
    listed_windows,
    number,
    refuse_unusual,
    text_config,
    vocabulary_size,
)

PATTERN = 6  # every sixth layer is global unless the file says otherwise
LOCAL_BASE = 10_000.0


@dataclass(frozen=True)
class Config:
    """Sizes and constants; widths in values, windows and context in tokens.

    windows: for each layer the keys a token sees, itself included; 0 for a global layer, which sees all.
    query_scale: what scores are multiplied by. global_stretch: positions of global layers are divided by it.
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
    global_base: float
    global_stretch: float
    local_base: float
    context_tokens: int

    @property
    def layers(self) -> int:
        return len(self.windows)

    def __post_init__(self) -> None:
        check_shape(self)
        constants = ("eps", "query_scale", "global_base", "global_stretch", "local_base")
        check_positive({name: getattr(self, name) for name in constants})

    @classmethod
    def from_gguf(cls, meta: Mapping[str, Any], name: str = "gemma3") -> Config:
        """From GGUF metadata, keys `name.*`; llama.cpp's defaults for keys that old files lack."""
        layers = integer(meta, f"{name}.block_count", most=MAX_LAYERS)
        hidden = integer(meta, f"{name}.embedding_length")
        heads = integer(meta, f"{name}.attention.head_count")
        head_dim = integer(meta, f"{name}.attention.key_length", 256)
        if integer(meta, f"{name}.attention.value_length", head_dim) != head_dim:
            raise UnsupportedModel("Key and value heads differ in width, which no Gemma 3 has.")
        window = integer(meta, f"{name}.attention.sliding_window", 1024, most=MAX_CONTEXT)
        scaling = meta.get(f"{name}.rope.scaling.type", "linear")
        if scaling not in ("linear", "none"):
            raise UnsupportedModel(f"Rope scaling {scaling!r} is not one that Gemma 3 uses.")
        return cls(
            vocabulary=vocabulary_size(meta, 262_144),
            hidden=hidden,
            feed_forward=integer(meta, f"{name}.feed_forward_length"),
            heads=heads,
            kv_heads=integer(meta, f"{name}.attention.head_count_kv", heads),
            head_dim=head_dim,
            windows=every_nth_global(layers, window, PATTERN),
            eps=number(meta, f"{name}.attention.layer_norm_rms_epsilon", 1e-6),
            # GGUF does not store the scale; only the 27B (62 layers) does not use the width of a head
            query_scale=(hidden / heads if layers == 62 else head_dim) ** -0.5,
            global_base=number(meta, f"{name}.rope.freq_base", 1_000_000.0),
            global_stretch=number(meta, f"{name}.rope.scaling.factor", 1.0) if scaling == "linear" else 1.0,
            local_base=number(meta, f"{name}.rope.freq_base_swa", LOCAL_BASE),
            context_tokens=integer(meta, f"{name}.context_length", 131_072, most=MAX_CONTEXT),
        )

    @classmethod
    def from_hf(cls, config: Mapping[str, Any]) -> Config:
        """From config.json, of the text model itself or of a multimodal one around it, in old and new spelling."""
        text = text_config(config)
        refuse_unusual(text, _USUAL, "Gemma 3 text")
        layers = integer(text, "num_hidden_layers", 26, most=MAX_LAYERS)
        window = integer(text, "sliding_window", 4096, most=MAX_CONTEXT)
        global_base, stretch, local_base = _rope(text)
        return cls(
            vocabulary=integer(text, "vocab_size", 262_208, most=MAX_VOCABULARY),
            hidden=integer(text, "hidden_size", 2304),
            feed_forward=integer(text, "intermediate_size", 9216),
            heads=integer(text, "num_attention_heads", 8),
            kv_heads=integer(text, "num_key_value_heads", 4),
            head_dim=integer(text, "head_dim", 256),
            windows=listed_windows(text, layers, window)
            or every_nth_global(layers, window, integer(text, "sliding_window_pattern", PATTERN)),
            eps=number(text, "rms_norm_eps", 1e-6),
            query_scale=number(text, "query_pre_attn_scalar", 256.0) ** -0.5,
            global_base=global_base,
            global_stretch=stretch,
            local_base=local_base,
            context_tokens=integer(text, "max_position_embeddings", 131_072, most=MAX_CONTEXT),
        )


_USUAL: dict[str, tuple[object, ...]] = {
    "use_bidirectional_attention": (False, None),
    "attention_bias": (False, None),
    "attn_logit_softcapping": (None,),
    "final_logit_softcapping": (None,),
    "hidden_activation": ("gelu_pytorch_tanh", None),
    "tie_word_embeddings": (True, None),
}


def _rope(text: Mapping[str, Any]) -> tuple[float, float, float]:
    """Base and stretch of global layers, base of local ones."""
    parameters = text.get("rope_parameters")
    if isinstance(parameters, Mapping) and "full_attention" in parameters:
        everywhere, nearby = parameters["full_attention"], parameters.get("sliding_attention", {})
        if not isinstance(everywhere, Mapping) or not isinstance(nearby, Mapping):
            raise ModelFormatError("config.json: rope_parameters are not objects.")
        if _stretch(nearby) != 1.0:
            raise UnsupportedModel("config.json stretches the positions of local layers, which no Gemma 3 does.")
        local = number(nearby, "rope_theta", LOCAL_BASE)
        return number(everywhere, "rope_theta", 1_000_000.0), _stretch(everywhere), local
    scaling = text.get("rope_scaling")
    stretch = _stretch(scaling) if isinstance(scaling, Mapping) else 1.0
    return number(text, "rope_theta", 1_000_000.0), stretch, number(text, "rope_local_base_freq", LOCAL_BASE)


def _stretch(rope: Mapping[str, Any]) -> float:
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return 1.0
    if kind != "linear":
        raise UnsupportedModel(f"Rope scaling {kind!r} is not one that Gemma 3 uses.")
    return number(rope, "factor", 1.0)
