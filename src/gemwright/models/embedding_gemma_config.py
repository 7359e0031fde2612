"""The numbers that make one EmbeddingGemma, read from either kind of file, and written as GGUF.

Source: `Gemma3TextConfig` of transformers 5.24 with `use_bidirectional_attention`; llama.cpp's gemma-embedding loader,
build 11434, for GGUF keys. The published model is arXiv:2509.20354.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gemwright.errors import CheckpointMismatch, ModelFormatError, UnsupportedModel
from gemwright.models import gemma3_config, gemma3_gguf
from gemwright.models.reading import MAX_CONTEXT, MAX_WIDTH, check_bounds, integer
from gemwright.models.sentence import check_mean_pooling, check_steps, dense_width, longest_text
from gemwright.weights import MODULES

NAME = "gemma-embedding"
"""What GGUF files call it."""

STEPS = ("Transformer", "Pooling", "Dense", "Dense", "Normalize")
MEAN = 1
"""`pooling_type` of GGUF."""

_NO_HEADS = (
    "the two matrices after the mean of the tokens (Dense) are missing; without them the vectors would be others than "
    "EmbeddingGemma's"
)


@dataclass(frozen=True)
class Config:
    """layers: sizes and constants of the Gemma 3 layers; a window of w means keys less than w away, on both sides.

    inner: width between the two matrices after the mean. dimensions: width of a vector.
    """

    layers: gemma3_config.Config
    inner: int
    dimensions: int

    def __post_init__(self) -> None:
        check_bounds("inner width", self.inner, MAX_WIDTH)
        check_bounds("dimensions", self.dimensions, MAX_WIDTH)

    @property
    def vocabulary(self) -> int:
        return self.layers.vocabulary

    @property
    def hidden(self) -> int:
        return self.layers.hidden

    @property
    def context_tokens(self) -> int:
        return self.layers.context_tokens

    @classmethod
    def from_hf(cls, config: Mapping[str, Any]) -> Config:
        """From config.json and the pipeline's files. Raises CheckpointMismatch if there is no pipeline."""
        if MODULES not in config:
            raise CheckpointMismatch(
                f"There is no {MODULES} beside the model: {_NO_HEADS}.",
                hint="Copy the whole repository, with 1_Pooling, 2_Dense and 3_Dense.",
            )
        layers = gemma3_config.Config.from_hf(
            {
                **config,
                "use_bidirectional_attention": None,
                "sliding_window": _seen(integer(config, "sliding_window", 4096, most=MAX_CONTEXT)),
            }
        )
        layers = replace(layers, context_tokens=longest_text(config, layers.context_tokens))
        _, pooling, first, second, _ = check_steps(config, STEPS)
        check_mean_pooling(pooling, layers.hidden)
        inner = dense_width(first, layers.hidden)
        return cls(layers, inner, dense_width(second, inner))

    @classmethod
    def from_gguf(cls, meta: Mapping[str, Any]) -> Config:
        """From GGUF metadata."""
        stored = integer(meta, f"{NAME}.attention.sliding_window", most=MAX_CONTEXT)
        layers = gemma3_config.Config.from_gguf({**meta, f"{NAME}.attention.sliding_window": _seen(stored)}, NAME)
        if meta.get(f"{NAME}.pooling_type", MEAN) != MEAN:
            raise UnsupportedModel(f"{NAME}.pooling_type is not {MEAN}: this model takes the mean of the tokens.")
        if meta.get(f"{NAME}.attention.causal", False):
            raise UnsupportedModel(f"{NAME}.attention.causal is set; in this model a token sees what follows it.")
        if integer(meta, f"{NAME}.attention.sliding_window_pattern", gemma3_config.PATTERN) != gemma3_config.PATTERN:
            raise UnsupportedModel(f"{NAME}.attention.sliding_window_pattern is not {gemma3_config.PATTERN}.")
        if f"{NAME}.dense_2_feat_out" not in meta:
            raise CheckpointMismatch(
                f"The file says nothing of {NAME}.dense_2_feat_out: {_NO_HEADS}.",
                hint="It was converted without --sentence-transformers-dense-modules; take one converted with it.",
            )
        inner = integer(meta, f"{NAME}.dense_2_feat_out")
        inputs = [integer(meta, f"{NAME}.dense_{n}_feat_in") for n in (2, 3)]
        if inputs != [layers.hidden, inner]:
            raise ModelFormatError(f"dense_2 and dense_3 take {inputs} values, and are given {[layers.hidden, inner]}.")
        return cls(layers, inner, integer(meta, f"{NAME}.dense_3_feat_out"))


def _seen(stored: int) -> int:
    """The window of a local layer: files store twice the distance a token sees, which it sees inclusively."""
    return stored // 2 + 1


def gguf_metadata(config: Config) -> dict[str, Any]:
    """The keys that llama.cpp and we read. Raises UnsupportedModel for what they cannot express."""
    layers = gemma3_gguf.gguf_metadata(config.layers)
    return {
        **{key.replace("gemma3.", f"{NAME}.", 1): value for key, value in layers.items()},
        f"{NAME}.attention.sliding_window": max(2 * (max(config.layers.windows) - 1), 1),
        f"{NAME}.pooling_type": MEAN,
        f"{NAME}.dense_2_feat_in": config.hidden,
        f"{NAME}.dense_2_feat_out": config.inner,
        f"{NAME}.dense_3_feat_in": config.inner,
        f"{NAME}.dense_3_feat_out": config.dimensions,
        "tokenizer.ggml.add_eos_token": True,  # a text ends with <eos>
    }
