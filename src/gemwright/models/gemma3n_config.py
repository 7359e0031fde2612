"""The numbers that make one Gemma 3n text model, read from either kind of file.

Source: `Gemma3nTextConfig` of transformers 5.24 for names and defaults; llama.cpp's gemma3n loader and converter
(build 11434) for GGUF keys.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

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

PATTERN = 5  # every fifth layer is global unless the file says otherwise
LOCAL_BASE, GLOBAL_BASE = 10_000.0, 1_000_000.0
SOFTCAP = 30.0
SPARSE_LAYERS, SPARSITY = 10, 0.95  # of files that do not list it
OWNERS = 20  # layers with keys and values of their own in GGUF files that do not say; E2B and E4B have as many
LAUREL_RANK = 64  # GGUF does not store it
MAX_STREAMS = 16


@dataclass(frozen=True)
class Config:
    """Sizes and constants; widths in values, windows and context in tokens.

    feed_forward: inner width of each layer's network. cuts: for each layer, gates below their mean plus so many
    standard deviations count as 0; None keeps all.
    windows: for each layer the keys a token sees, itself included; 0 for a global layer, which sees all.
    owners: so many layers, the first ones, keep keys and values. Each later one reads those of the last of its kind.
    per_layer_width: of the vector each layer has for each token. per_layer_vocabulary: tokens that have their own; the
    others have that of token 0.
    streams: AltUp's copies of the residual stream. laurel_rank: inner width of the learned residual.
    final_softcap: of the logits; 0 without.
    """

    vocabulary: int
    per_layer_vocabulary: int
    hidden: int
    per_layer_width: int
    feed_forward: tuple[int, ...]
    cuts: tuple[float | None, ...]
    heads: int
    kv_heads: int
    head_dim: int
    windows: tuple[int, ...]
    owners: int
    streams: int
    laurel_rank: int
    eps: float
    global_base: float
    local_base: float
    final_softcap: float
    context_tokens: int

    @property
    def layers(self) -> int:
        return len(self.windows)

    def owner(self, i: int) -> int:
        """The layer whose keys and values layer `i` reads: itself, or the last owner of its kind."""
        if i < self.owners:
            return i
        return max(j for j in range(self.owners) if self.windows[j] == self.windows[i])

    def __post_init__(self) -> None:
        check_bounds("vocabulary", self.vocabulary, MAX_VOCABULARY)
        check_bounds("tokens with per-layer embeddings", self.per_layer_vocabulary, self.vocabulary)
        check_bounds("layers", self.layers, MAX_LAYERS)
        check_bounds("context", self.context_tokens, MAX_CONTEXT)
        for name in ("hidden", "heads", "kv_heads", "head_dim", "laurel_rank"):
            check_bounds(name, getattr(self, name), MAX_WIDTH)
        for width in self.feed_forward:
            check_bounds("feed_forward", width, MAX_WIDTH)
        check_bounds("width of all per-layer embeddings", self.layers * self.per_layer_width, MAX_WIDTH)
        check_bounds("streams", self.streams, MAX_STREAMS)
        if self.streams == 1:
            raise UnsupportedModel("The model declares one stream, where every Gemma 3n has several.")
        check_positive({name: getattr(self, name) for name in ("eps", "global_base", "local_base")})
        if self.heads % self.kv_heads or self.head_dim % 2:
            raise ModelFormatError(
                f"{self.heads} heads over {self.kv_heads} key heads of width {self.head_dim} cannot be: "
                "heads must divide evenly and the width must be even."
            )
        kinds = set(self.windows[: self.owners])
        if not kinds.issuperset(self.windows):
            raise ModelFormatError(
                f"Of {self.layers} layers {self.layers - self.owners} share keys and values, which leaves none of "
                "their kind (local or global) to share them with."
            )

    @classmethod
    def from_gguf(cls, meta: Mapping[str, Any]) -> Config:
        """From GGUF metadata; what llama.cpp takes for keys that old files lack."""
        layers = integer(meta, "gemma3n.block_count", most=MAX_LAYERS)
        heads = integer(meta, "gemma3n.attention.head_count")
        head_dim = integer(meta, "gemma3n.attention.key_length", 256)
        if integer(meta, "gemma3n.attention.value_length", head_dim) != head_dim:
            raise UnsupportedModel("Key and value heads differ in width, which no Gemma 3n has.")
        if meta.get("gemma3n.altup.active_idx", 0) != 0:
            raise UnsupportedModel("The active stream is not the first, which it is in every Gemma 3n.")
        if meta.get("gemma3n.rope.scaling.type", "none") != "none":
            raise UnsupportedModel("The file scales the positions, which no Gemma 3n does.")
        vocabulary = vocabulary_size(meta, 262_400)
        return cls(
            vocabulary=vocabulary,
            per_layer_vocabulary=vocabulary,
            hidden=integer(meta, "gemma3n.embedding_length"),
            per_layer_width=integer(meta, "gemma3n.embedding_length_per_layer_input", 256),
            feed_forward=each_layer(meta, "gemma3n.feed_forward_length", layers),
            cuts=_cuts_in_gguf(meta, layers),
            heads=heads,
            kv_heads=integer(meta, "gemma3n.attention.head_count_kv", heads),
            head_dim=head_dim,
            windows=_windows_in_gguf(meta, layers),
            owners=_owners_in_gguf(meta, layers),
            streams=integer(meta, "gemma3n.altup.num_inputs", 4),
            laurel_rank=LAUREL_RANK,
            eps=number(meta, "gemma3n.attention.layer_norm_rms_epsilon", 1e-6),
            global_base=number(meta, "gemma3n.rope.freq_base", GLOBAL_BASE),
            local_base=number(meta, "gemma3n.rope.freq_base_swa", LOCAL_BASE),
            final_softcap=number(meta, "gemma3n.final_logit_softcapping", SOFTCAP),
            context_tokens=integer(meta, "gemma3n.context_length", 32_768, most=MAX_CONTEXT),
        )

    @classmethod
    def from_hf(cls, config: Mapping[str, Any]) -> Config:
        """From config.json, of the text model itself or of a multimodal one around it."""
        text = text_config(config)
        refuse_unusual(text, _USUAL, "Gemma 3n text")
        layers = integer(text, "num_hidden_layers", 35, most=MAX_LAYERS)
        window = integer(text, "sliding_window", 512, most=MAX_CONTEXT)
        global_base, local_base = _bases(text)
        is_capped = text.get("final_logit_softcapping", SOFTCAP) is not None
        return cls(
            vocabulary=integer(text, "vocab_size", 262_400, most=MAX_VOCABULARY),
            per_layer_vocabulary=integer(text, "vocab_size_per_layer_input", 262_144, most=MAX_VOCABULARY),
            hidden=integer(text, "hidden_size", 2048),
            per_layer_width=integer(text, "hidden_size_per_layer_input", 256),
            feed_forward=each_layer(text, "intermediate_size", layers, 16_384),
            cuts=_cuts(text, layers),
            heads=integer(text, "num_attention_heads", 8),
            kv_heads=integer(text, "num_key_value_heads", 2),
            head_dim=integer(text, "head_dim", 256),
            windows=listed_windows(text, layers, window) or every_nth_global(layers, window, PATTERN),
            owners=layers - count(text, "num_kv_shared_layers", 15, most=layers),
            streams=integer(text, "altup_num_inputs", 4),
            laurel_rank=integer(text, "laurel_rank", LAUREL_RANK),
            eps=number(text, "rms_norm_eps", 1e-6),
            global_base=global_base,
            local_base=local_base,
            final_softcap=number(text, "final_logit_softcapping", SOFTCAP) if is_capped else 0.0,
            context_tokens=integer(text, "max_position_embeddings", 32_768, most=MAX_CONTEXT),
        )


_USUAL: dict[str, tuple[object, ...]] = {
    "altup_active_idx": (0,),
    "altup_correct_scale": (True,),
    "attention_bias": (False, None),
    "hidden_activation": ("gelu_pytorch_tanh", None),
    "rope_scaling": (None,),
    "tie_word_embeddings": (True, None),
}


def _cuts(text: Mapping[str, Any], layers: int) -> tuple[float | None, ...]:
    """How many deviations above the mean the wanted part of a normal distribution ends, for each layer."""
    parts = text.get("activation_sparsity_pattern")
    if parts is None:
        sparse = SPARSE_LAYERS if layers > SPARSE_LAYERS else 0
        parts = [SPARSITY] * sparse + [0.0] * (layers - sparse)
    if not isinstance(parts, list) or len(parts) != layers or not all(_is_share(part) for part in parts):
        raise ModelFormatError(
            f"config.json: activation_sparsity_pattern must have a number below 1 for each of {layers} layers."
        )
    return tuple(NormalDist().inv_cdf(part) if part > 0 else None for part in parts)


def _is_share(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1


def _bases(text: Mapping[str, Any]) -> tuple[float, float]:
    """Of rope, in global and in local layers."""
    parameters = text.get("rope_parameters") or {}
    if not isinstance(parameters, Mapping):
        raise ModelFormatError("config.json: rope_parameters is not an object.")
    bases = []
    for kind, key, default in _ROPE:
        rope = parameters.get(kind, {})
        if not isinstance(rope, Mapping):
            raise ModelFormatError(f"config.json: {kind} of rope_parameters is not an object.")
        if rope.get("rope_type", "default") != "default":
            raise UnsupportedModel("config.json scales the positions, which no Gemma 3n does.")
        bases.append(number(rope, "rope_theta", number(text, key, default)))
    return bases[0], bases[1]


_ROPE = (
    ("full_attention", "rope_theta", GLOBAL_BASE),
    ("sliding_attention", "rope_local_base_freq", LOCAL_BASE),
)
"""Kinds of layers as config.json calls them, the base's key in old files, and what it is where none is given."""


def _cuts_in_gguf(meta: Mapping[str, Any], layers: int) -> tuple[float | None, ...]:
    """-inf stands for a layer that keeps all."""
    key = "gemma3n.activation_sparsity_scale"
    if key not in meta:
        return _cuts({}, layers)
    cuts = meta[key]
    if not isinstance(cuts, np.ndarray) or cuts.dtype.kind != "f" or len(cuts) != layers:
        raise ModelFormatError(f"{key} must have a number for each of {layers} layers.")
    if (np.isnan(cuts) | (cuts == np.inf)).any():
        raise ModelFormatError(f"{key} holds a value that is neither a number nor -inf.")
    return tuple(None if math.isinf(cut) else cut for cut in cuts.tolist())


def _windows_in_gguf(meta: Mapping[str, Any], layers: int) -> tuple[int, ...]:
    """The pattern is a truth value for each layer, or of how many layers the last is global."""
    window = integer(meta, "gemma3n.attention.sliding_window", 512, most=MAX_CONTEXT)
    key = "gemma3n.attention.sliding_window_pattern"
    pattern = meta.get(key, PATTERN)
    if not isinstance(pattern, np.ndarray):
        return every_nth_global(layers, window, integer(meta, key, PATTERN))
    if pattern.dtype != np.bool_ or len(pattern) != layers:
        raise ModelFormatError(f"{key} must have a truth value for each of {layers} layers.")
    return tuple(window if is_local else 0 for is_local in pattern.tolist())


def _owners_in_gguf(meta: Mapping[str, Any], layers: int) -> int:
    key = "gemma3n.attention.shared_kv_layers"
    shared = meta.get(key, max(layers - OWNERS, 0))
    whole = int(shared) if isinstance(shared, float) and shared.is_integer() else shared  # published files: a float
    return layers - count({key: whole}, key, most=layers)
