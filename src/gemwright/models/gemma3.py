"""Gemma 3, text: 270M, 1B, and the language tower of 4B, 12B and 27B.

Source: arXiv:2503.19786; `Gemma3TextModel` of transformers 5.23 is the oracle of the tests.
Axes: T tokens of the flat batch, D hidden width, N query heads, K key heads, H head width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from types import MappingProxyType

import numpy as np

from gemwright import ops
from gemwright.cache import KVCache
from gemwright.models.gemma3_config import Config
from gemwright.models.weights import Loader
from gemwright.step import F32, I32, Cost, Step
from gemwright.weights import Weight

__all__ = ["HEADS", "VISION", "WIDE", "Config", "Gemma3", "weights"]

VISION = ("vision_tower.", "multi_modal_projector.", "model.vision_tower.", "model.multi_modal_projector.")
"""What multimodal checkpoints hold beside the text model."""


WIDE = ("embed",)
"""Matrices whose inputs need int16: int8 there, even with outliers kept, costs half of all the accuracy lost
(docs/decisions/activation-precision.md)."""

HEADS = MappingProxyType({"embed": "final_norm"})
"""The embedding is the output head too, and the final norm tells which of its columns weigh most."""


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
        self.kv_format = ops.KVFormat.F32 if load.precision == "exact" else ops.KVFormat.F16
        """How caches made from now on keep keys and values."""
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
            format=self.kv_format,
        )

    def forward(self, step: Step, cache: KVCache, rows: Sequence[int] | None = None) -> F32:
        """Hidden states after the final norm: float32[T, D], or [len(rows), D] of those tokens of the step alone.

        The last layer then computes only keys and values for the other tokens: nobody reads the rest.
        """
        c = self.config
        tables = {
            True: ops.rope_table(step.positions, c.head_dim, c.global_base, c.global_stretch),
            False: ops.rope_table(step.positions, c.head_dim, c.local_base),
        }
        wanted = slice(None) if rows is None else np.asarray(rows, np.int64)
        x = ops.embed(self.embed, step.tokens, sqrt(c.hidden))  # docs/decisions/embedding-scale.md
        normed = ops.rms_norm(x, self.layers[0].attn_in, c.eps)
        next_norms = [*(w.attn_in for w in self.layers[1:]), self.final_norm]
        for i, (w, next_norm) in enumerate(zip(self.layers, next_norms, strict=True)):
            table = tables[c.windows[i] == 0]
            q, k, v = self._qkv(w, normed, table)
            ops.cache_write(cache.layer(i), step, k, v)
            if i + 1 == c.layers and rows is not None:
                if len(rows) == 0:
                    return np.empty((0, c.hidden), np.float32)
                x, q, step = x[wanted], q[wanted], step.only(wanted)
            x, normed = self._block(w, x, q, next_norm, cache.layer(i), step)
        return normed

    def logits(self, hidden: F32) -> F32:
        """Scores of every token of the vocabulary: float32[n, V]. hidden: float32[n, D]. The head is the embedding."""
        return ops.linear(hidden, self.embed)[0]

    def cost(self, depth: int) -> Cost:
        """What the token after `depth` others takes: every matrix once, the embedding as the head."""
        c = self.config
        matrices = [matrix for w in self.layers for matrix in (w.q, w.k, w.v, w.o, w.gate, w.up, w.down)]
        keys = sum(min(depth + 1, window) if window else depth + 1 for window in c.windows)
        return Cost(
            weight_bytes=self.embed.scanned_bytes + sum(matrix.nbytes for matrix in matrices),
            cache_bytes=keys * c.kv_heads * sum(ops.page_bytes(self.kv_format, c.head_dim)) // ops.PAGE_TOKENS,
            layer_multiplications=sum(matrix.rows * matrix.cols for matrix in matrices),
            head_multiplications=self.embed.rows * self.embed.cols,
        )

    def candidates(self, hidden: F32, k: int, below: int) -> tuple[I32, F32]:
        """The k largest of each row of `logits`, of ids < below only: (int32[n, k], float32[n, k]), largest first.

        Of equal ones the lowest id first. A row with a NaN or an infinity gives NaN.
        """
        if self.embed.is_split:
            return ops.largest(hidden, self.embed, k, below)
        ids, values = np.zeros((len(hidden), k), np.int32), np.full((len(hidden), k), np.nan, np.float32)
        for i, row in enumerate(self.logits(hidden)[:, :below]):
            if np.isfinite(row).all():
                ids[i], values[i] = ops.top_k(row, k)
        return ids, values

    def _qkv(self, w: Layer, normed: F32, table: F32) -> tuple[F32, F32, F32]:
        """Queries [T, N, H], keys and values [T, K, H]; queries and keys normed and turned."""
        c = self.config
        q, k, v = ops.linear(normed, w.q, w.k, w.v)
        q = ops.norm_rope(q.reshape(-1, c.heads, c.head_dim), w.q_norm, c.eps, table)
        k = ops.norm_rope(k.reshape(-1, c.kv_heads, c.head_dim), w.k_norm, c.eps, table)
        return q, k, v.reshape(-1, c.kv_heads, c.head_dim)

    def _block(self, w: Layer, x: F32, q: F32, next_norm: F32, cache: ops.PagedLayer, step: Step) -> tuple[F32, F32]:
        """The residual stream after attention and feed-forward, and its norm for what follows."""
        eps = self.config.eps
        y = ops.attend(q, cache, step, self.config.query_scale)
        (y,) = ops.linear(y.reshape(len(x), -1), w.o)
        x, normed = ops.add_norm(x, y, w.attn_out, w.ffn_in, eps)
        (y,) = ops.linear(ops.linear_geglu(normed, w.gate, w.up), w.down)
        return ops.add_norm(x, y, w.ffn_out, next_norm, eps)
