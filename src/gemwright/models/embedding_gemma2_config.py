"""The numbers that make one EmbeddingGemma 2, text, read from config.json.

Source: `EmbeddingGemma2TextConfig` of transformers 5.24 for names and defaults. GGUF has no form for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gemwright.cache import LayerShape
from gemwright.errors import ModelFormatError, UnsupportedModel
from gemwright.models.reading import (
    MAX_CONTEXT,
    MAX_LAYERS,
    MAX_VOCABULARY,
    MAX_WIDTH,
    check_bounds,
    check_positive,
    every_nth_global,
    integer,
    listed_windows,
    number,
    refuse_unusual,
    text_config,
)
from gemwright.models.sentence import check_mean_pooling, check_steps, longest_text
from gemwright.weights import MODULES

NAME = "embedding_gemma2"
STEPS = ("Transformer", "Pooling", "Normalize")

LONGEST_TEXT = 8192
"""Tokens of text the model is published for; config.json's 262,144 are the positions of its tables."""


@dataclass(frozen=True)
class Config:
    """Sizes and constants; widths in values.

    shapes: of each layer; a window of w means keys less than w away, on both sides, and 0 that all are seen.
    layer_input: width of the signal that every layer mixes in. dimensions: width of a vector.
    """

    vocabulary: int
    hidden: int
    feed_forward: int
    heads: int
    shapes: tuple[LayerShape, ...]
    layer_input: int
    dimensions: int
    eps: float
    global_base: float
    local_base: float
    context_tokens: int

    def __post_init__(self) -> None:
        for name in ("hidden", "feed_forward", "heads", "layer_input", "dimensions"):
            check_bounds(name, getattr(self, name), MAX_WIDTH)
        check_bounds("vocabulary", self.vocabulary, MAX_VOCABULARY)
        check_bounds("layers", len(self.shapes), MAX_LAYERS)
        check_bounds("context", self.context_tokens, MAX_CONTEXT)
        check_positive({name: getattr(self, name) for name in ("eps", "global_base", "local_base")})
        for _, kv_heads, head_dim in set(self.shapes):
            if self.heads % kv_heads or head_dim % 2:
                raise ModelFormatError(
                    f"{self.heads} heads over {kv_heads} key heads of width {head_dim} cannot be: "
                    "heads must divide evenly and the width must be even."
                )

    @classmethod
    def from_gguf(cls, meta: Mapping[str, Any]) -> Config:
        """Raises UnsupportedModel: neither llama.cpp nor we know how a GGUF file would hold this model."""
        raise UnsupportedModel(
            "There is no GGUF form of EmbeddingGemma 2 that we know.", hint="Take its safetensors checkpoint."
        )

    @classmethod
    def from_hf(cls, config: Mapping[str, Any]) -> Config:
        """From config.json, of the text model itself or of a multimodal one around it, and the pipeline's files."""
        text = text_config(config)
        refuse_unusual(text, _USUAL, "EmbeddingGemma 2")
        dimensions = integer(text, "embedding_dim", 768)
        if MODULES in config:
            _, pooling, _ = check_steps(config, STEPS)
            check_mean_pooling(pooling, dimensions)
        positions = integer(text, "max_position_embeddings", 262_144, most=MAX_CONTEXT)
        return cls(
            vocabulary=integer(text, "vocab_size", 262_144, most=MAX_VOCABULARY),
            hidden=integer(text, "hidden_size", 512),
            feed_forward=integer(text, "intermediate_size", 2048),
            heads=integer(text, "num_attention_heads", 4),
            shapes=_shapes(text),
            layer_input=integer(text, "hidden_size_per_layer_input", 512),
            dimensions=dimensions,
            eps=number(text, "rms_norm_eps", 1e-6),
            global_base=_base(text, "full_attention", 1_000_000.0),
            local_base=_base(text, "sliding_attention", 10_000.0),
            context_tokens=longest_text(config, min(positions, LONGEST_TEXT)),
        )


_USUAL: dict[str, tuple[object, ...]] = {
    "attention_bias": (False, None),
    "hidden_activation": ("gelu_pytorch_tanh", None),
}


def _shapes(text: Mapping[str, Any]) -> tuple[LayerShape, ...]:
    """Local layers have the sizes config.json begins with, global ones those it keeps apart, in either spelling."""
    layers = integer(text, "num_hidden_layers", 24, most=MAX_LAYERS)
    seen = integer(text, "sliding_window", 512, most=MAX_CONTEXT) + 1  # stored is the distance, inclusive
    windows = listed_windows(text, layers, seen)
    if windows is None:
        every = every_nth_global(layers, seen, integer(text, "sliding_window_pattern", 6))
        windows = (*every[:-1], 0)  # the last layer is global whatever the pattern says
    if windows[-1]:
        raise UnsupportedModel("config.json: the last layer is not of full attention, which it is in this model.")
    own = {"head_dim": integer(text, "head_dim", 256), "num_key_value_heads": integer(text, "num_key_value_heads", 2)}
    apart = _kept_apart(text, windows)
    return tuple(
        LayerShape(
            window,
            integer({**own, **apart.get(i, {})}, "num_key_value_heads"),
            integer({**own, **apart.get(i, {})}, "head_dim"),
        )
        for i, window in enumerate(windows)
    )


def _kept_apart(text: Mapping[str, Any], windows: tuple[int, ...]) -> dict[int, Mapping[str, Any]]:
    """By layer, the sizes that are not the usual ones."""
    listed = text.get("per_layer_config")
    if listed is None:
        sizes = {
            "head_dim": integer(text, "global_head_dim", 512),
            "num_key_value_heads": integer(text, "num_global_key_value_heads", 1),
        }
        return {i: sizes for i, window in enumerate(windows) if not window}
    known = {str(i): i for i in range(len(windows))}
    if not isinstance(listed, Mapping) or not listed.keys() <= known.keys():
        raise ModelFormatError(f"config.json: per_layer_config must name layers 0 to {len(windows) - 1}.")
    for values in listed.values():
        if not isinstance(values, Mapping) or not values.keys() <= {"head_dim", "num_key_value_heads"}:
            raise UnsupportedModel("config.json: per_layer_config sets more than head_dim and num_key_value_heads.")
    return {known[name]: values for name, values in listed.items()}


def _base(text: Mapping[str, Any], kind: str, default: float) -> float:
    """The rope base of one kind of layer. Raises UnsupportedModel for positions that are scaled."""
    rope = text.get("rope_parameters")
    if rope is None:
        return default
    own = rope.get(kind) if isinstance(rope, Mapping) else None
    if not isinstance(own, Mapping):
        raise ModelFormatError(f"config.json: rope_parameters say nothing of {kind}.")
    if own.get("rope_type", "default") != "default" or own.get("partial_rotary_factor", 1.0) != 1.0:
        raise UnsupportedModel(f"config.json changes the positions of {kind}, which this model does not.")
    return number(own, "rope_theta", default)
