"""Gemma 3, text: 270M, 1B, and the language tower of 4B, 12B and 27B.

Source: arXiv:2503.19786; `Gemma3TextModel` of transformers 5.23 is the oracle of the tests.
Axes: T tokens of the flat batch, D hidden width, N query heads, K key heads, H head width, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from gemwright import ops
from gemwright.cache import KVCache
from gemwright.models.gemma3_config import Config
from gemwright.models.weights import Loader
from gemwright.step import F32, Cost, Step
from gemwright.weights import Weight

__all__ = ["VISION", "WIDE", "Config", "Gemma3", "weights"]

VISION = ("vision_tower.", "multi_modal_projector.", "model.vision_tower.", "model.multi_modal_projector.")
"""What multimodal checkpoints hold beside the text model."""


WIDE = ("embed", "down")
"""Matrices whose inputs need int16: int8 there, even with outliers kept, costs half of all the accuracy lost
(docs/decisions/activation-precision.md)."""


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
            ("q_norm", "attn_q_norm", "self_attn.q_norm", (c.head_dim,)),
            ("k_norm", "attn_k_norm", "self_attn.k_norm", (c.head_dim,)),
            ("attn_out", "post_attention_norm", "post_attention_layernorm", (c.hidden,)),
            ("ffn_in", "ffn_norm", "pre_feedforward_layernorm", (c.hidden,)),
            ("gate", "ffn_gate", "mlp.gate_proj", (c.feed_forward, c.hidden)),
            ("up", "ffn_up", "mlp.up_proj", (c.feed_forward, c.hidden)),
            ("down", "ffn_down", "mlp.down_proj", (c.hidden, c.feed_forward)),
            ("ffn_out", "post_ffw_norm", "post_feedforward_layernorm", (c.hidden,)),
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
    q_norm: F32
    k_norm: F32
    attn_out: F32
    ffn_in: F32
    gate: ops.Matrix
    up: ops.Matrix
    down: ops.Matrix
    ffn_out: F32

    @classmethod
    def load(cls, load: Loader, i: int) -> Layer:
        """Layer number `i`."""
        return cls(
            attn_in=load.vector(f"{i}.attn_in"),
            q=load.matrix(f"{i}.q"),
            k=load.matrix(f"{i}.k"),
            v=load.matrix(f"{i}.v"),
            o=load.matrix(f"{i}.o"),
            q_norm=load.vector(f"{i}.q_norm"),
            k_norm=load.vector(f"{i}.k_norm"),
            attn_out=load.vector(f"{i}.attn_out"),
            ffn_in=load.vector(f"{i}.ffn_in"),
            gate=load.matrix(f"{i}.gate"),
            up=load.matrix(f"{i}.up"),
            down=load.matrix(f"{i}.down"),
            ffn_out=load.vector(f"{i}.ffn_out"),
        )


class Gemma3:
    """The network: `forward` for hidden states, `logits` for the rows that need them."""

    def __init__(self, config: Config, load: Loader) -> None:
        self.config = config
        self.embed = load.matrix("embed")
        self.final_norm = load.vector("final_norm")
        self.layers = [Layer.load(load, i) for i in range(config.layers)]

    def new_cache(self, *, capacity_tokens: int, max_step_tokens: int, max_sequences: int) -> KVCache:
        """An empty cache of this model's shape."""
        c = self.config
        return KVCache(
            c.windows,
            c.kv_heads,
            c.head_dim,
            capacity_tokens=capacity_tokens,
            max_step_tokens=max_step_tokens,
            max_sequences=max_sequences,
        )

    def forward(self, step: Step, cache: KVCache) -> F32:
        """The hidden state of every token of the step after the final norm: float32[T, D]."""
        c = self.config
        tables = {
            True: ops.rope_table(step.positions, c.head_dim, c.global_base, c.global_stretch),
            False: ops.rope_table(step.positions, c.head_dim, c.local_base),
        }
        x = ops.embed(self.embed, step.tokens, sqrt(c.hidden))  # docs/decisions/embedding-scale.md
        for i, w in enumerate(self.layers):
            x = self._block(w, x, cache.layer(i), step, tables[c.windows[i] == 0])
        return ops.rms_norm(x, self.final_norm, c.eps)

    def logits(self, hidden: F32) -> F32:
        """Scores of every token of the vocabulary: float32[n, V]. hidden: float32[n, D]. The head is the embedding."""
        return ops.linear(hidden, self.embed)[0]

    def cost(self, depth: int) -> Cost:
        """What the token after `depth` others takes: every matrix once, the embedding as the head."""
        c = self.config
        matrices = [matrix for w in self.layers for matrix in (w.q, w.k, w.v, w.o, w.gate, w.up, w.down)]
        keys = sum(min(depth + 1, window) if window else depth + 1 for window in c.windows)
        return Cost(
            weight_bytes=self.embed.nbytes + sum(matrix.nbytes for matrix in matrices),
            cache_bytes=keys * 2 * c.kv_heads * c.head_dim * np.dtype(np.float32).itemsize,
            layer_multiplications=sum(matrix.rows * matrix.cols for matrix in matrices),
            head_multiplications=self.embed.rows * self.embed.cols,
        )

    def _block(self, w: Layer, x: F32, cache: ops.PagedLayer, step: Step, table: F32) -> F32:
        eps = self.config.eps
        y = self._attention(w, ops.rms_norm(x, w.attn_in, eps), cache, step, table)
        x = ops.add(x, ops.rms_norm(y, w.attn_out, eps))
        gate, up = ops.linear(ops.rms_norm(x, w.ffn_in, eps), w.gate, w.up)
        (y,) = ops.linear(ops.geglu_mul(gate, up), w.down)
        return ops.add(x, ops.rms_norm(y, w.ffn_out, eps))

    def _attention(self, w: Layer, x: F32, cache: ops.PagedLayer, step: Step, table: F32) -> F32:
        c = self.config
        q, k, v = ops.linear(x, w.q, w.k, w.v)
        q = q.reshape(-1, c.heads, c.head_dim)  # [T, N, H]
        k = k.reshape(-1, c.kv_heads, c.head_dim)  # [T, K, H]
        v = v.reshape(-1, c.kv_heads, c.head_dim)
        q = ops.rope(ops.rms_norm(q, w.q_norm, c.eps), table)
        k = ops.rope(ops.rms_norm(k, w.k_norm, c.eps), table)
        ops.cache_write(cache, step, k, v)
        y = ops.attend(q, cache, step, c.query_scale)
        return ops.linear(y.reshape(len(x), -1), w.o)[0]
