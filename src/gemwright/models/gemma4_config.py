"""The numbers that make one Gemma 4 text model, read from either kind of file.

Source: `Gemma4TextConfig` and `Gemma4UnifiedTextConfig` of transformers 5.24 for names and defaults; llama.cpp's gemma4
loader and converter (build 11434) for GGUF keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from gemwright.errors import ModelFormatError, UnsupportedModel
from gemwright.models.reading import (
    MAX_CONTEXT,
    MAX_LAYERS,
    MAX_VOCABULARY,
    MAX_WIDTH,
    check_bounds,
    check_positive,
    count,
    each_layer,
    every_nth_global,
    integer,
    listed_windows,
    number,
    refuse_unusual,
    text_config,
    vocabulary_size,
)

PATTERN = 6  # every sixth layer is global unless config.json says otherwise
TURNED = 0.25  # of the pairs of a global head; GGUF stores it as `rope_freqs.weight` alone
LOCAL_BASE, GLOBAL_BASE = 10_000.0, 1_000_000.0
SOFTCAP = 30.0


class Heads(NamedTuple):
    """How the layers of one kind, local or global, attend.

    kv_heads: heads of keys and values. width: values of a head. base: of rope. turned: so many of the width / 2 pairs
    of a head turn with the position, the others stay.
    projected: what comes from a matrix of its own; where that is keys alone, they serve as values too.
    """

    kv_heads: int
    width: int
    base: float
    turned: int
    projected: tuple[str, ...] = ("k", "v")


class Experts(NamedTuple):
    """A mixture: `used` of `total` networks of inner width `width` compute each token."""

    total: int
    used: int
    width: int


@dataclass(frozen=True)
class Config:
    """Sizes and constants; widths in values, windows and context in tokens.

    windows: for each layer the keys a token sees, itself included; 0 for a global layer, which sees all.
    feed_forward: inner width of each layer's dense network.
    owners: so many layers, the first ones, keep keys and values. Each later one reads those of the last of its kind;
    where there are none (gemma4_drafter.py) all read another model's.
    nearby, everywhere: attention of local and of global layers.
    per_layer_width: of the vector each layer adds for each token of the vocabulary; 0 without such vectors.
    experts: what every layer has beside its dense network, if anything.
    final_softcap: of the logits; 0 without.
    """

    vocabulary: int
    hidden: int
    heads: int
    windows: tuple[int, ...]
    feed_forward: tuple[int, ...]
    owners: int
    nearby: Heads
    everywhere: Heads
    per_layer_width: int
    experts: Experts | None
    eps: float
    final_softcap: float
    context_tokens: int

    @property
    def layers(self) -> int:
        return len(self.windows)

    def attention(self, i: int) -> Heads:
        """Of layer number `i`."""
        return self.nearby if self.windows[i] else self.everywhere

    def owner(self, i: int) -> int:
        """The layer whose keys and values layer `i` reads: itself, or the last owner of its kind."""
        return i if i < self.owners else self.last_owner(self.windows[i])

    def last_owner(self, window: int) -> int:
        """The last layer of that window that keeps keys and values."""
        return max(j for j in range(self.owners) if self.windows[j] == window)

    def projected(self, i: int) -> tuple[str, ...]:
        """What layer `i` computes of keys and values; a layer that reads another's computes neither."""
        return self.attention(i).projected if i < self.owners else ()

    def __post_init__(self) -> None:
        check_bounds("vocabulary", self.vocabulary, MAX_VOCABULARY)
        check_bounds("hidden", self.hidden, MAX_WIDTH)
        check_bounds("heads", self.heads, MAX_WIDTH)
        check_bounds("layers", self.layers, MAX_LAYERS)
        check_bounds("context", self.context_tokens, MAX_CONTEXT)
        for width in self.feed_forward:
            check_bounds("feed_forward", width, MAX_WIDTH)
        check_positive({"eps": self.eps})
        _check_layers(self)
        for kind in (self.nearby, self.everywhere):
            _check_heads(self.heads, kind)
        if self.experts is not None:
            check_bounds("experts", self.experts.total, MAX_WIDTH)
            check_bounds("expert width", self.experts.width, MAX_WIDTH)
            check_bounds(f"experts used of {self.experts.total}", self.experts.used, self.experts.total)

    @classmethod
    def from_gguf(cls, meta: Mapping[str, Any]) -> Config:
        """From GGUF metadata, with llama.cpp's defaults for keys that may be missing."""
        layers = integer(meta, "gemma4.block_count", most=MAX_LAYERS)
        windows = _listed_in_gguf(meta, layers)
        # The converter writes an array of key heads for models whose global layers have no values of their own.
        projected = ("k",) if isinstance(meta.get("gemma4.attention.head_count_kv"), np.ndarray) else ("k", "v")
        kv_heads = each_layer(meta, "gemma4.attention.head_count_kv", layers)
        local, whole = _width(meta, "_swa"), _width(meta, "")
        near_base = number(meta, "gemma4.rope.freq_base_swa", LOCAL_BASE)
        base = number(meta, "gemma4.rope.freq_base", GLOBAL_BASE)
        near_heads = _alike("key heads", kv_heads, [i for i, window in enumerate(windows) if window])
        heads = _alike("key heads", kv_heads, [i for i, window in enumerate(windows) if not window])
        return cls(
            vocabulary=vocabulary_size(meta, 262_144),
            hidden=integer(meta, "gemma4.embedding_length"),
            heads=integer(meta, "gemma4.attention.head_count"),
            windows=windows,
            feed_forward=each_layer(meta, "gemma4.feed_forward_length", layers),
            owners=layers - count(meta, "gemma4.attention.shared_kv_layers", 0, most=layers - 1),
            nearby=Heads(near_heads, local, near_base, local // 2),
            everywhere=Heads(heads, whole, base, int(TURNED * whole) // 2, projected),
            per_layer_width=count(meta, "gemma4.embedding_length_per_layer_input", 0),
            experts=_experts_in_gguf(meta, layers),
            eps=number(meta, "gemma4.attention.layer_norm_rms_epsilon", 1e-6),
            final_softcap=_softcap(meta, "gemma4.final_logit_softcapping", SOFTCAP),
            context_tokens=integer(meta, "gemma4.context_length", 131_072, most=MAX_CONTEXT),
        )

    @classmethod
    def from_hf(cls, config: Mapping[str, Any]) -> Config:
        """From config.json, of the text model itself or of a multimodal one around it."""
        text = text_config(config)
        unified = "unified" in str(text.get("model_type", config.get("model_type")))
        text = {**(_UNIFIED if unified else _DEFAULTS), **text}
        refuse_unusual(text, {**_USUAL, **(_USUAL_UNIFIED if unified else {})}, "Gemma 4 text")
        layers = integer(text, "num_hidden_layers", 30, most=MAX_LAYERS)
        window = integer(text, "sliding_window", most=MAX_CONTEXT)
        windows = listed_windows(text, layers, window) or (*every_nth_global(layers - 1, window, PATTERN), 0)
        owners = layers - count(text, "num_kv_shared_layers", 0, most=layers - 1)
        width = integer(text, "intermediate_size", 9216)
        shared_width = 2 * width if text.get("use_double_wide_mlp") else width
        nearby, everywhere = _heads(text, windows)
        vocabulary = integer(text, "vocab_size", 262_144, most=MAX_VOCABULARY)
        per_layer_width = count(text, "hidden_size_per_layer_input")
        if per_layer_width and integer(text, "vocab_size_per_layer_input", 262_144, most=MAX_VOCABULARY) != vocabulary:
            raise UnsupportedModel("config.json has per-layer embeddings for another vocabulary than the model's.")
        return cls(
            vocabulary=vocabulary,
            hidden=integer(text, "hidden_size", 2304),
            heads=integer(text, "num_attention_heads", 8),
            windows=windows,
            feed_forward=(width,) * owners + (shared_width,) * (layers - owners),
            owners=owners,
            nearby=nearby,
            everywhere=everywhere,
            per_layer_width=per_layer_width,
            experts=_experts(text),
            eps=number(text, "rms_norm_eps", 1e-6),
            final_softcap=_softcap(text, "final_logit_softcapping", 0.0),
            context_tokens=integer(text, "max_position_embeddings", most=MAX_CONTEXT),
        )


_DEFAULTS = {"sliding_window": 512, "max_position_embeddings": 131_072, "hidden_size_per_layer_input": 256}
_UNIFIED = {"sliding_window": 1024, "max_position_embeddings": 262_144, "hidden_size_per_layer_input": 0}

_USUAL: dict[str, tuple[object, ...]] = {
    "use_bidirectional_attention": ("vision", None),  # of image tokens only
    "attention_bias": (False, None),
    "attention_k_eq_v": (True, False),
    "enable_moe_block": (True, False),
    "use_double_wide_mlp": (True, False),
    "hidden_activation": ("gelu_pytorch_tanh", None),
    "tie_word_embeddings": (True, None),
}
_USUAL_UNIFIED: dict[str, tuple[object, ...]] = {
    "enable_moe_block": (False,),
    "hidden_size_per_layer_input": (0, None),
}


def _check_layers(c: Config) -> None:
    if c.windows[-1]:
        raise ModelFormatError("The model declares a last layer with a window: Gemma 4 ends with a global layer.")
    if c.owners and set(c.windows[c.owners :]) - set(c.windows[: c.owners]):
        raise ModelFormatError(
            f"Of {c.layers} layers the last {c.layers - c.owners} share keys and values, but no layer of the same kind "
            "before them has any."
        )


def _check_heads(heads: int, kind: Heads) -> None:
    check_bounds("kv_heads", kind.kv_heads, MAX_WIDTH)
    check_bounds("head_dim", kind.width, MAX_WIDTH)
    check_positive({"rope base": kind.base})
    if heads % kind.kv_heads or kind.width % 2:
        raise ModelFormatError(
            f"{heads} heads over {kind.kv_heads} key heads of width {kind.width} cannot be: "
            "heads must divide evenly and the width must be even."
        )
    check_bounds(f"turned pairs of a head of width {kind.width}", kind.turned, kind.width // 2)


def _heads(text: Mapping[str, Any], windows: tuple[int, ...]) -> tuple[Heads, Heads]:
    """Attention of local and of global layers."""
    own = _global_fields(text, windows)
    width, kv_heads = integer(text, "head_dim", 256), integer(text, "num_key_value_heads", 4)
    global_width, global_heads = integer(own, "head_dim", width), integer(own, "num_key_value_heads", kv_heads)
    projected = ("k",) if text.get("attention_k_eq_v") else ("k", "v")
    rope = text.get("rope_parameters") or _ROPE
    near, far = (rope.get(kind) if isinstance(rope, Mapping) else None for kind in _ROPE)
    if not isinstance(near, Mapping) or not isinstance(far, Mapping):
        raise ModelFormatError("config.json: rope_parameters must describe sliding_attention and full_attention.")
    return (
        Heads(kv_heads, width, *_rope(near, width)),
        Heads(global_heads, global_width, *_rope(far, global_width), projected),
    )


_ROPE: dict[str, dict[str, Any]] = {
    "sliding_attention": {"rope_type": "default", "rope_theta": LOCAL_BASE},
    "full_attention": {"rope_type": "proportional", "partial_rotary_factor": TURNED, "rope_theta": GLOBAL_BASE},
}


def _rope(rope: Mapping[str, Any], width: int) -> tuple[float, int]:
    """Base, and how many pairs of a head turn."""
    kind = rope.get("rope_type", "default")
    if kind not in ("default", "proportional") or rope.get("factor", 1.0) != 1.0:
        raise UnsupportedModel(f"config.json scales rope ({kind!r}, factor {rope.get('factor')!r}): no Gemma 4 does.")
    part = number(rope, "partial_rotary_factor", 1.0) if kind == "proportional" else 1.0
    return number(rope, "rope_theta", float("nan")), int(part * width // 2)


def _global_fields(text: Mapping[str, Any], windows: tuple[int, ...]) -> Mapping[str, Any]:
    """head_dim and num_key_value_heads of global layers, where they differ from the local ones."""
    each = text.get("per_layer_config")
    if each is None:
        kv_heads = text.get("num_global_key_value_heads") if text.get("attention_k_eq_v") else None
        named = {"head_dim": text.get("global_head_dim", 512), "num_key_value_heads": kv_heads}
        return {key: value for key, value in named.items() if value is not None}
    if not isinstance(each, Mapping):
        raise ModelFormatError("config.json: per_layer_config is not an object.")
    places = [str(i) for i, window in enumerate(windows) if not window]
    fields = each.get(places[-1], {}) if places else {}
    alike = all(each.get(place, {}) == fields for place in places) and not set(each) - set(places)
    if not alike or not isinstance(fields, Mapping) or set(fields) - {"head_dim", "num_key_value_heads"}:
        raise UnsupportedModel(
            "config.json: per_layer_config may give all global layers one head_dim and num_key_value_heads, "
            "and nothing else."
        )
    return fields


def _experts(text: Mapping[str, Any]) -> Experts | None:
    if not text.get("enable_moe_block"):
        return None
    return Experts(integer(text, "num_experts"), integer(text, "top_k_experts"), integer(text, "moe_intermediate_size"))


def _experts_in_gguf(meta: Mapping[str, Any], layers: int) -> Experts | None:
    number_of_experts = count(meta, "gemma4.expert_count", 0)
    if not number_of_experts:
        return None
    widths = each_layer(meta, "gemma4.expert_feed_forward_length", layers)
    width = _alike("expert widths", widths, range(layers))
    return Experts(number_of_experts, integer(meta, "gemma4.expert_used_count"), width)


def _listed_in_gguf(meta: Mapping[str, Any], layers: int) -> tuple[int, ...]:
    """The window of each layer, 0 for a global one."""
    key = "gemma4.attention.sliding_window_pattern"
    pattern = meta.get(key)
    if not isinstance(pattern, np.ndarray) or pattern.dtype != np.bool_ or pattern.shape != (layers,):
        raise ModelFormatError(f"{key} must say for each of {layers} layers whether it has a window.")
    window = integer(meta, "gemma4.attention.sliding_window", most=MAX_CONTEXT)
    return tuple(window if has_window else 0 for has_window in pattern.tolist())


def _width(meta: Mapping[str, Any], kind: str) -> int:
    """Of a head of keys, of values, and of what rope turns, which are one."""
    width = integer(meta, f"gemma4.attention.key_length{kind}")
    for key in (f"gemma4.attention.value_length{kind}", f"gemma4.rope.dimension_count{kind}"):
        if integer(meta, key, width) != width:
            raise UnsupportedModel(f"{key} is {meta[key]} beside keys of width {width}, which no Gemma 4 has.")
    return width


def _alike(what: str, values: tuple[int, ...], places: range | list[int]) -> int:
    """The value at all of `places`; 1 where there are none. Raises UnsupportedModel if they differ."""
    found = {values[i] for i in places}
    if len(found) > 1:
        raise UnsupportedModel(f"The model has {sorted(found)} {what} among layers of one kind, which no Gemma 4 has.")
    return found.pop() if found else 1


def _softcap(source: Mapping[str, Any], key: str, default: float) -> float:
    """A positive number, or 0 where there is no cap."""
    value = source.get(key, default)
    return 0.0 if value is None or value == 0 else number(source, key, default)
