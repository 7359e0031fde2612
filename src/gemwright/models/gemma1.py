"""Gemma 1 and 1.1 in 2B and 7B, and CodeGemma, which is Gemma 1 taught to fill in code.

Source: arXiv:2403.08295; `GemmaModel` of transformers 5.24 is the oracle of the tests.
Axes: T tokens of the flat batch, D hidden width, N query heads, K key heads, H head width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from gemwright import ops
from gemwright.cache import KVCache, LayerShape
from gemwright.models.architecture import Architecture
from gemwright.models.decoder import Decoder
from gemwright.models.gemma1_config import Config, gguf_metadata
from gemwright.models.weights import Loader
from gemwright.step import F32, Step
from gemwright.weights import Weight

__all__ = ["ARCHITECTURE", "Config", "Gemma1", "Layer", "weights"]


def weights(c: Config) -> tuple[Weight, ...]:
    """Every tensor of the model; [out, in] for matrices."""
    rows = [
        Weight("embed", "token_embd.weight", "embed_tokens.weight", (c.vocabulary, c.hidden)),
        Weight("final_norm", "output_norm.weight", "norm.weight", (c.hidden,), add_one=True),
    ]
    queries, keys = c.heads * c.head_dim, c.kv_heads * c.head_dim
    for i in range(c.layers):
        layer: tuple[tuple[str, str, str, tuple[int, ...]], ...] = (
            ("attn_in", "attn_norm", "input_layernorm", (c.hidden,)),
            ("q", "attn_q", "self_attn.q_proj", (queries, c.hidden)),
            ("k", "attn_k", "self_attn.k_proj", (keys, c.hidden)),
            ("v", "attn_v", "self_attn.v_proj", (keys, c.hidden)),
            ("o", "attn_output", "self_attn.o_proj", (c.hidden, queries)),
            # after attention, but before the feed-forward block: later generations use the name for another norm
            ("ffn_in", "ffn_norm", "post_attention_layernorm", (c.hidden,)),
            ("gate", "ffn_gate", "mlp.gate_proj", (c.feed_forward, c.hidden)),
            ("up", "ffn_up", "mlp.up_proj", (c.feed_forward, c.hidden)),
            ("down", "ffn_down", "mlp.down_proj", (c.hidden, c.feed_forward)),
        )
        rows += [
            Weight(f"{i}.{name}", f"blk.{i}.{gguf}.weight", f"layers.{i}.{hf}.weight", shape, add_one=len(shape) == 1)
            for name, gguf, hf, shape in layer
        ]
    return tuple(rows)


@dataclass(frozen=True)
class Layer:
    """The weights of one layer; norms are float32 vectors, the rest matrices."""

    attn_in: F32
    q: ops.Matrix
    k: ops.Matrix
    v: ops.Matrix
    o: ops.Matrix
    ffn_in: F32
    gate: ops.Matrix
    up: ops.Matrix
    down: ops.Matrix

    @classmethod
    def load(cls, load: Loader, i: int) -> Layer:
        """Layer number `i`."""
        return cls(
            attn_in=load.vector(f"{i}.attn_in"),
            q=load.matrix(f"{i}.q"),
            k=load.matrix(f"{i}.k"),
            v=load.matrix(f"{i}.v"),
            o=load.matrix(f"{i}.o"),
            ffn_in=load.vector(f"{i}.ffn_in"),
            gate=load.matrix(f"{i}.gate"),
            up=load.matrix(f"{i}.up"),
            down=load.matrix(f"{i}.down"),
        )


class Gemma1(Decoder):
    """The network: `forward` for hidden states, `logits` for the rows that need them."""

    config: Config

    def __init__(self, config: Config, load: Loader) -> None:
        super().__init__(config, load)
        self.layers = [Layer.load(load, i) for i in range(config.layers)]

    def cache_layers(self) -> list[LayerShape]:
        """Every layer, and each sees everything."""
        return [LayerShape(0, self.config.kv_heads, self.config.head_dim)] * self.config.layers

    attended_layers = cache_layers

    def matrices(self) -> list[ops.Matrix]:
        """Seven a layer."""
        return [matrix for w in self.layers for matrix in (w.q, w.k, w.v, w.o, w.gate, w.up, w.down)]

    def forward(self, step: Step, cache: KVCache, rows: Sequence[int] | None = None) -> F32:
        """Hidden states after the final norm: float32[T, D], or [len(rows), D] of those tokens of the step alone.

        The last layer then computes only keys and values for the other tokens: nobody reads the rest.
        """
        c = self.config
        table = ops.rope_table(step.positions, c.head_dim, c.rope_base)
        wanted = slice(None) if rows is None else np.asarray(rows, np.int64)
        x = ops.embed(self.embed, step.tokens, sqrt(c.hidden))  # docs/decisions/embedding-scale.md
        normed = ops.rms_norm(x, self.layers[0].attn_in, c.eps)
        next_norms = [*(w.attn_in for w in self.layers[1:]), self.final_norm]
        for i, (w, next_norm) in enumerate(zip(self.layers, next_norms, strict=True)):
            q, k, v = self._qkv(w, normed, table)
            ops.cache_write(cache.layer(i), step, k, v)
            if i + 1 == c.layers and rows is not None:
                if len(rows) == 0:
                    return np.empty((0, c.hidden), np.float32)
                x, q, step = x[wanted], q[wanted], step.only(wanted)
            x, normed = self._block(w, x, q, next_norm, cache.layer(i), step)
        return normed

    def _qkv(self, w: Layer, normed: F32, table: F32) -> tuple[F32, F32, F32]:
        """Queries [T, N, H], keys and values [T, K, H]; queries and keys turned."""
        c = self.config
        q, k, v = ops.linear(normed, w.q, w.k, w.v)
        q = ops.rope(q.reshape(-1, c.heads, c.head_dim), table)
        k = ops.rope(k.reshape(-1, c.kv_heads, c.head_dim), table)
        return q, k, v.reshape(-1, c.kv_heads, c.head_dim)

    def _block(self, w: Layer, x: F32, q: F32, next_norm: F32, cache: ops.PagedLayer, step: Step) -> tuple[F32, F32]:
        """The residual stream after attention and feed-forward, and its norm for what follows."""
        c = self.config
        y = ops.attend(q, cache, step, c.head_dim**-0.5)
        (y,) = ops.linear(y.reshape(len(x), -1), w.o)
        x = ops.add(x, y)
        normed = ops.rms_norm(x, w.ffn_in, c.eps)
        (y,) = ops.linear(ops.linear_geglu(normed, w.gate, w.up), w.down)
        x = ops.add(x, y)
        return x, ops.rms_norm(x, next_norm, c.eps)


ARCHITECTURE = Architecture("gemma", Config, weights, Gemma1, gguf_metadata)
