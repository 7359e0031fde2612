"""The numbers that make one Gemma 3 text model, read from either kind of file.

Source: `Gemma3TextConfig` of transformers 5.23 for names and defaults; llama.cpp's gemma3 loader for GGUF keys.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gemwright.errors import ModelFormatError, UnsupportedModel

MAX_WIDTH = 1 << 18  # bounds on what a file may declare, far above any Gemma
MAX_LAYERS = 512
MAX_CONTEXT = 1 << 24
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
        for name in ("vocabulary", "hidden", "feed_forward", "heads", "kv_heads", "head_dim"):
            _bounded(name, getattr(self, name), MAX_WIDTH if name != "vocabulary" else 1 << 20)
        _bounded("layers", self.layers, MAX_LAYERS)
        _bounded("context", self.context_tokens, MAX_CONTEXT)
        if self.heads % self.kv_heads or self.head_dim % 2:
            raise ModelFormatError(
                f"{self.heads} heads over {self.kv_heads} key heads of width {self.head_dim} cannot be: "
                "heads must divide evenly and the width must be even."
            )
        for name in ("eps", "query_scale", "global_base", "global_stretch", "local_base"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ModelFormatError(f"{name} is {value}: it must be a positive number.")

    @classmethod
    def from_gguf(cls, meta: Mapping[str, Any]) -> Config:
        """From GGUF metadata; llama.cpp's defaults for keys that old files lack."""
        layers = _integer(meta, "gemma3.block_count", most=MAX_LAYERS)
        hidden = _integer(meta, "gemma3.embedding_length")
        heads = _integer(meta, "gemma3.attention.head_count")
        head_dim = _integer(meta, "gemma3.attention.key_length", 256)
        if _integer(meta, "gemma3.attention.value_length", head_dim) != head_dim:
            raise UnsupportedModel("Key and value heads differ in width, which no Gemma 3 has.")
        window = _integer(meta, "gemma3.attention.sliding_window", 1024, most=MAX_CONTEXT)
        scaling = meta.get("gemma3.rope.scaling.type", "linear")
        if scaling not in ("linear", "none"):
            raise UnsupportedModel(f"Rope scaling {scaling!r} is not one that Gemma 3 uses.")
        return cls(
            vocabulary=len(meta["tokenizer.ggml.token_type"]) if "tokenizer.ggml.token_type" in meta else 262_144,
            hidden=hidden,
            feed_forward=_integer(meta, "gemma3.feed_forward_length"),
            heads=heads,
            kv_heads=_integer(meta, "gemma3.attention.head_count_kv", heads),
            head_dim=head_dim,
            windows=_windows(layers, window),
            eps=_number(meta, "gemma3.attention.layer_norm_rms_epsilon", 1e-6),
            # GGUF does not store the scale; only the 27B (62 layers) does not use the width of a head
            query_scale=(hidden / heads if layers == 62 else head_dim) ** -0.5,
            global_base=_number(meta, "gemma3.rope.freq_base", 1_000_000.0),
            global_stretch=_number(meta, "gemma3.rope.scaling.factor", 1.0) if scaling == "linear" else 1.0,
            local_base=_number(meta, "gemma3.rope.freq_base_swa", LOCAL_BASE),
            context_tokens=_integer(meta, "gemma3.context_length", 131_072, most=MAX_CONTEXT),
        )

    @classmethod
    def from_hf(cls, config: Mapping[str, Any]) -> Config:
        """From config.json, of the text model itself or of a multimodal one around it, in old and new spelling."""
        text = config.get("text_config", config)
        if not isinstance(text, Mapping):
            raise ModelFormatError("config.json: text_config is not an object.")
        _refuse_variants(text)
        layers = _integer(text, "num_hidden_layers", 26, most=MAX_LAYERS)
        window = _integer(text, "sliding_window", 4096, most=MAX_CONTEXT)
        global_base, stretch, local_base = _rope(text)
        return cls(
            vocabulary=_integer(text, "vocab_size", 262_208, most=1 << 20),
            hidden=_integer(text, "hidden_size", 2304),
            feed_forward=_integer(text, "intermediate_size", 9216),
            heads=_integer(text, "num_attention_heads", 8),
            kv_heads=_integer(text, "num_key_value_heads", 4),
            head_dim=_integer(text, "head_dim", 256),
            windows=_listed_windows(text, layers, window),
            eps=_number(text, "rms_norm_eps", 1e-6),
            query_scale=_number(text, "query_pre_attn_scalar", 256.0) ** -0.5,
            global_base=global_base,
            global_stretch=stretch,
            local_base=local_base,
            context_tokens=_integer(text, "max_position_embeddings", 131_072, most=MAX_CONTEXT),
        )


def _refuse_variants(text: Mapping[str, Any]) -> None:
    """Raises UnsupportedModel for switches that change the computation and that no Gemma 3 text model sets."""
    expected: dict[str, tuple[object, ...]] = {
        "use_bidirectional_attention": (False, None),
        "attention_bias": (False, None),
        "attn_logit_softcapping": (None,),
        "final_logit_softcapping": (None,),
        "hidden_activation": ("gelu_pytorch_tanh", None),
        "tie_word_embeddings": (True, None),
    }
    for key, usual in expected.items():
        if key in text and text[key] not in usual:
            raise UnsupportedModel(f"config.json sets {key} to {text[key]!r}, which no Gemma 3 text model does.")


def _listed_windows(text: Mapping[str, Any], layers: int, window: int) -> tuple[int, ...]:
    kinds = text.get("layer_types")
    if kinds is None:
        return _windows(layers, window, _integer(text, "sliding_window_pattern", PATTERN))
    sizes = {"sliding_attention": window, "full_attention": 0}
    if not isinstance(kinds, list) or len(kinds) != layers or any(kind not in sizes for kind in kinds):
        raise ModelFormatError(f"config.json: layer_types must name {layers} layers, each sliding or full attention.")
    return tuple(sizes[kind] for kind in kinds)


def _windows(layers: int, window: int, pattern: int = PATTERN) -> tuple[int, ...]:
    return tuple(0 if (i + 1) % pattern == 0 else window for i in range(layers))


def _rope(text: Mapping[str, Any]) -> tuple[float, float, float]:
    """Base and stretch of global layers, base of local ones."""
    parameters = text.get("rope_parameters")
    if isinstance(parameters, Mapping) and "full_attention" in parameters:
        everywhere, nearby = parameters["full_attention"], parameters.get("sliding_attention", {})
        if not isinstance(everywhere, Mapping) or not isinstance(nearby, Mapping):
            raise ModelFormatError("config.json: rope_parameters are not objects.")
        if _stretch(nearby) != 1.0:
            raise UnsupportedModel("config.json stretches the positions of local layers, which no Gemma 3 does.")
        local = _number(nearby, "rope_theta", LOCAL_BASE)
        return _number(everywhere, "rope_theta", 1_000_000.0), _stretch(everywhere), local
    scaling = text.get("rope_scaling")
    stretch = _stretch(scaling) if isinstance(scaling, Mapping) else 1.0
    return _number(text, "rope_theta", 1_000_000.0), stretch, _number(text, "rope_local_base_freq", LOCAL_BASE)


def _stretch(rope: Mapping[str, Any]) -> float:
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return 1.0
    if kind != "linear":
        raise UnsupportedModel(f"Rope scaling {kind!r} is not one that Gemma 3 uses.")
    return _number(rope, "factor", 1.0)


def _bounded(name: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise ModelFormatError(f"The model declares {name} = {value}: it must be between 1 and {most}.")


def _integer(source: Mapping[str, Any], key: str, default: int | None = None, *, most: int = MAX_WIDTH) -> int:
    value = source.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ModelFormatError(f"{key} is {_shown(value)}: a whole number is needed.")
    _bounded(key, value, most)
    return value


def _number(source: Mapping[str, Any], key: str, default: float) -> float:
    value = source.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
        raise ModelFormatError(f"{key} is {_shown(value)}: a positive number is needed.")
    return float(value)


def _shown(value: object) -> str:
    return "missing" if value is None else repr(value)[:80]
