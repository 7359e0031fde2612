"""Numbers out of config.json and GGUF metadata: of the right kind and within bounds, or an error that names the key."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from gemwright.errors import ModelFormatError, UnsupportedModel

MAX_WIDTH = 1 << 18  # bounds on what a file may declare, far above any Gemma
MAX_LAYERS = 512
MAX_CONTEXT = 1 << 24
MAX_VOCABULARY = 1 << 20


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of config.json that is about the text model: all of it, or `text_config` of a multimodal one."""
    text = config.get("text_config", config)
    if not isinstance(text, Mapping):
        raise ModelFormatError("config.json: text_config is not an object.")
    return text


def integer(source: Mapping[str, Any], key: str, default: int | None = None, *, most: int = MAX_WIDTH) -> int:
    """A whole number from 1 to `most`. Raises ModelFormatError naming the key."""
    value = source.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ModelFormatError(f"{key} is {_shown(value)}: a whole number is needed.")
    check_bounds(key, value, most)
    return value


def count(source: Mapping[str, Any], key: str, default: int | None = None, *, most: int = MAX_WIDTH) -> int:
    """`integer`, or 0 where there is none of something."""
    value = source.get(key, default)
    return 0 if type(value) is int and value == 0 else integer(source, key, default, most=most)


def number(source: Mapping[str, Any], key: str, default: float) -> float:
    """A positive finite number. Raises ModelFormatError naming the key."""
    value = source.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
        raise ModelFormatError(f"{key} is {_shown(value)}: a positive number is needed.")
    return float(value)


def check_bounds(name: str, value: int, most: int) -> None:
    """Raises ModelFormatError unless 1 ≤ value ≤ most."""
    if not 1 <= value <= most:
        raise ModelFormatError(f"The model declares {name} = {value}: it must be between 1 and {most}.")


def check_positive(values: Mapping[str, float]) -> None:
    """Raises ModelFormatError unless all of them are positive finite numbers."""
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise ModelFormatError(f"{name} is {value}: it must be a positive number.")


def listed_windows(text: Mapping[str, Any], layers: int, window: int) -> tuple[int, ...] | None:
    """The window of each layer as config.json's `layer_types` gives them, 0 for full attention; None if it does not."""
    kinds = text.get("layer_types")
    if kinds is None:
        return None
    sizes = {"sliding_attention": window, "full_attention": 0}
    if not isinstance(kinds, list) or len(kinds) != layers or any(kind not in sizes for kind in kinds):
        raise ModelFormatError(f"config.json: layer_types must name {layers} layers, each sliding or full attention.")
    return tuple(sizes[kind] for kind in kinds)


def every_nth_global(layers: int, window: int, pattern: int) -> tuple[int, ...]:
    """Windows of `layers` layers of which each `pattern`-th one sees everything (0)."""
    return tuple(0 if (i + 1) % pattern == 0 else window for i in range(layers))


def each_layer(source: Mapping[str, Any], key: str, layers: int, default: int | None = None) -> tuple[int, ...]:
    """A whole number from 1 for each layer; files store one for all of them, or a list. Raises ModelFormatError."""
    values = source.get(key, default)
    if not isinstance(values, (list, np.ndarray)):
        return (integer(source, key, default),) * layers
    if len(values) != layers:
        raise ModelFormatError(f"{key} has {len(values)} values: one for each of {layers} layers is needed.")
    listed = values.tolist() if isinstance(values, np.ndarray) else values
    return tuple(integer({key: value}, key) for value in listed)


def refuse_unusual(text: Mapping[str, Any], usual: Mapping[str, tuple[object, ...]], family: str) -> None:
    """Raises UnsupportedModel for switches that change the computation and that no model of the family sets."""
    for key, values in usual.items():
        if key in text and text[key] not in values:
            raise UnsupportedModel(f"config.json sets {key} to {text[key]!r}, which no {family} model does.")


def vocabulary_size(meta: Mapping[str, Any], default: int) -> int:
    """Rows of the embedding of a GGUF file: as many as it has tokens."""
    tokens = meta.get("tokenizer.ggml.token_type")
    return default if tokens is None else len(tokens)


def _shown(value: object) -> str:
    return "missing" if value is None else repr(value)[:80]
