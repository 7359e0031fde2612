"""Gemma 3, text: 270M, 1B, and the language tower of 4B, 12B and 27B.

Source: arXiv:2503.19786; `Gemma3TextModel` of transformers 5.23 is the oracle of the tests.
Axes: T tokens of the flat batch, D hidden width, N query heads, K key heads, H head width, V vocabulary.
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
from gemwright.models.gemma3_config import Config
from gemwright.models.gemma3_gguf import gguf_metadata
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


ARCHITECTURE = Architecture("gemma3", Config, weights, Gemma3, gguf_metadata, ignore=VISION)
