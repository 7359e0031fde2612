"""EmbeddingGemma: the layers of Gemma 3, in which a token sees what follows it too, and one vector for a text.

Source: arXiv:2509.20354; `Gemma3TextModel` of transformers 5.24 with `use_bidirectional_attention`, then mean and two
matrices, is the oracle of the tests. Axes: T tokens of all texts of a step, n texts, D hidden width.
"""

from __future__ import annotations

from collections.abc import Iterator

from gemwright import ops
from gemwright.cache import LayerShape
from gemwright.models import gemma3
from gemwright.models.architecture import Architecture
from gemwright.models.embedding_gemma_config import NAME, Config, gguf_metadata
from gemwright.models.encoder import Batch, Encoder
from gemwright.models.gemma3_layer import Layer, block, qkv, rope_tables
from gemwright.models.weights import Loader
from gemwright.step import F32
from gemwright.weights import Weight

__all__ = ["ARCHITECTURE", "Config", "EmbeddingGemma", "weights"]


def weights(c: Config) -> tuple[Weight, ...]:
    """Gemma 3's tensors and the two matrices after the mean."""
    return (
        *gemma3.weights(c.layers),
        Weight("dense_2", "dense_2.weight", "2_Dense.linear.weight", (c.inner, c.hidden)),
        Weight("dense_3", "dense_3.weight", "3_Dense.linear.weight", (c.dimensions, c.inner)),
    )


class EmbeddingGemma(Encoder):
    """The network."""

    config: Config

    def __init__(self, config: Config, load: Loader) -> None:
        super().__init__(config, load)
        self.layers = [Layer.load(load, i) for i in range(config.layers.layers)]
        self.dense_2 = load.matrix("dense_2")
        self.dense_3 = load.matrix("dense_3")

    def shapes(self) -> list[LayerShape]:
        """By their windows."""
        c = self.config.layers
        return [LayerShape(window, c.kv_heads, c.head_dim) for window in c.windows]

    def passes(self, batch: Batch) -> Iterator[tuple[F32, F32]]:
        """See `Encoder.passes`."""
        c, step = self.config.layers, batch.step
        tables = rope_tables(c, step.positions)
        reach = {window: batch.reach(window) for window in set(c.windows)}
        x = self.embedded(step.tokens)
        normed = ops.rms_norm(x, self.layers[0].attn_in, c.eps)
        next_norms = [*(w.attn_in for w in self.layers[1:]), self.final_norm]
        for w, shape, next_norm in zip(self.layers, self.shapes(), next_norms, strict=True):
            q, k, v = qkv(c, w, normed, tables[shape.window == 0])
            ops.cache_write(batch.layers[shape], step, k, v)
            x, normed = block(c, w, x, q, next_norm, batch.layers[shape], step, reach[shape.window])
            yield x, normed

    def project(self, means: F32) -> F32:
        """Through both matrices, between which there is nothing."""
        (inner,) = ops.linear(means, self.dense_2)
        (vectors,) = ops.linear(inner, self.dense_3)
        return vectors


ARCHITECTURE = Architecture(
    NAME, Config, weights, EmbeddingGemma, gguf_metadata, wide=("dense_2", "dense_3"), heads={}, tables=("embed",)
)
