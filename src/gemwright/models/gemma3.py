"""Gemma 3, text: 270M, 1B, and the language tower of 4B, 12B and 27B.

Source: arXiv:2503.19786; `Gemma3TextModel` of transformers 5.23 is the oracle of the tests.
Axes: T tokens of the flat batch, D hidden width.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np

from gemwright import ops
from gemwright.cache import KVCache, LayerShape
from gemwright.models.architecture import Architecture
from gemwright.models.decoder import Decoder
from gemwright.models.gemma3_config import Config
from gemwright.models.gemma3_gguf import gguf_metadata
from gemwright.models.gemma3_layer import Layer, block, layer_weights, qkv, rope_tables
from gemwright.models.weights import Loader
from gemwright.step import F32, Step
from gemwright.weights import Weight

__all__ = ["ARCHITECTURE", "VISION", "Config", "Gemma3", "weights"]

VISION = ("vision_tower.", "multi_modal_projector.", "model.vision_tower.", "model.multi_modal_projector.")
"""What multimodal checkpoints hold beside the text model."""


def weights(c: Config) -> tuple[Weight, ...]:
    """Every tensor of the model; [out, in] for matrices."""
    rows = [
        Weight("embed", "token_embd.weight", "embed_tokens.weight", (c.vocabulary, c.hidden)),
        Weight("final_norm", "output_norm.weight", "norm.weight", (c.hidden,), add_one=True),
    ]
    for i in range(c.layers):
        rows += layer_weights(c, i)
    return tuple(rows)


class Gemma3(Decoder):
    """The network: `forward` for hidden states, `logits` for the rows that need them."""

    config: Config

    def __init__(self, config: Config, load: Loader) -> None:
        super().__init__(config, load)
        self.layers = [Layer.load(load, i) for i in range(config.layers)]

    def cache_layers(self) -> list[LayerShape]:
        """Every layer, with its window."""
        return [LayerShape(window, self.config.kv_heads, self.config.head_dim) for window in self.config.windows]

    attended_layers = cache_layers

    def matrices(self) -> list[ops.Matrix]:
        """Seven a layer."""
        return [matrix for w in self.layers for matrix in (w.q, w.k, w.v, w.o, w.gate, w.up, w.down)]

    def forward(self, step: Step, cache: KVCache, rows: Sequence[int] | None = None) -> F32:
        """Hidden states after the final norm: float32[T, D], or [len(rows), D] of those tokens of the step alone.

        The last layer then computes only keys and values for the other tokens: nobody reads the rest.
        """
        c = self.config
        tables = rope_tables(c, step.positions)
        wanted = slice(None) if rows is None else np.asarray(rows, np.int64)
        x = ops.embed(self.embed, step.tokens, sqrt(c.hidden))  # docs/decisions/embedding-scale.md
        normed = ops.rms_norm(x, self.layers[0].attn_in, c.eps)
        next_norms = [*(w.attn_in for w in self.layers[1:]), self.final_norm]
        for i, (w, next_norm) in enumerate(zip(self.layers, next_norms, strict=True)):
            table = tables[c.windows[i] == 0]
            q, k, v = qkv(c, w, normed, table)
            ops.cache_write(cache.layer(i), step, k, v)
            if i + 1 == c.layers and rows is not None:
                if len(rows) == 0:
                    return np.empty((0, c.hidden), np.float32)
                x, q, step = x[wanted], q[wanted], step.only(wanted)
            x, normed = block(c, w, x, q, next_norm, cache.layer(i), step)
        return normed


ARCHITECTURE = Architecture("gemma3", Config, weights, Gemma3, gguf_metadata, ignore=VISION)
