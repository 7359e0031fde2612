"""One layer of Gemma 4: attention, feed-forward, per-layer embedding, and a scale for all that leaves it.

Source: `Gemma4TextDecoderLayer` and `Gemma4TextAttention` of transformers 5.24.
Axes: T tokens of the flat batch, D hidden width, N query heads, K key heads, H head width, P of a vector.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gemwright import ops
from gemwright.models.gemma4_config import Config, Heads
from gemwright.models.gemma4_feed_forward import FeedForward, load_feed_forward
from gemwright.models.gemma4_per_layer import PerLayerBlock
from gemwright.models.weights import Loader
from gemwright.step import F32, I32, Step

Row = tuple[str, str, str, tuple[int, ...]]
"""A tensor: name of ours, in GGUF, in safetensors, shape."""


def layer_weights(c: Config, i: int) -> list[Row]:
    """The tensors of layer number `i`, without what stands before their names in files."""
    attention, inner = c.attention(i), c.feed_forward[i]
    queries, keys = c.heads * attention.width, attention.kv_heads * attention.width
    rows: list[Row] = [
        ("attn_in", "attn_norm.weight", "input_layernorm.weight", (c.hidden,)),
        ("q", "attn_q.weight", "self_attn.q_proj.weight", (queries, c.hidden)),
        *((name, f"attn_{name}.weight", f"self_attn.{name}_proj.weight", (keys, c.hidden)) for name in c.projected(i)),
        ("o", "attn_output.weight", "self_attn.o_proj.weight", (c.hidden, queries)),
        ("q_norm", "attn_q_norm.weight", "self_attn.q_norm.weight", (attention.width,)),
        ("attn_out", "post_attention_norm.weight", "post_attention_layernorm.weight", (c.hidden,)),
        ("ffn_in", "ffn_norm.weight", "pre_feedforward_layernorm.weight", (c.hidden,)),
        ("gate", "ffn_gate.weight", "mlp.gate_proj.weight", (inner, c.hidden)),
        ("up", "ffn_up.weight", "mlp.up_proj.weight", (inner, c.hidden)),
        ("down", "ffn_down.weight", "mlp.down_proj.weight", (c.hidden, inner)),
        ("ffn_out", "post_ffw_norm.weight", "post_feedforward_layernorm.weight", (c.hidden,)),
        ("scale", "layer_output_scale.weight", "layer_scalar", (1,)),
    ]
    if c.projected(i):
        rows += [("k_norm", "attn_k_norm.weight", "self_attn.k_norm.weight", (attention.width,))]
    if c.per_layer_width:
        rows += [
            ("per_layer_gate", "inp_gate.weight", "per_layer_input_gate.weight", (c.per_layer_width, c.hidden)),
            ("per_layer_out", "proj.weight", "per_layer_projection.weight", (c.hidden, c.per_layer_width)),
            ("per_layer_out_norm", "post_norm.weight", "post_per_layer_input_norm.weight", (c.hidden,)),
        ]
    if c.experts is not None:
        total, _, width = c.experts
        rows += [
            ("dense_out", "post_ffw_norm_1.weight", "post_feedforward_layernorm_1.weight", (c.hidden,)),
            ("router_in", "ffn_gate_inp.scale", "router.scale", (c.hidden,)),
            ("router", "ffn_gate_inp.weight", "router.proj.weight", (total, c.hidden)),
            ("expert_scale", "ffn_down_exps.scale", "router.per_expert_scale", (total,)),
            ("experts_in", "pre_ffw_norm_2.weight", "pre_feedforward_layernorm_2.weight", (c.hidden,)),
            ("expert_gate_up", "ffn_gate_up_exps.weight", "experts.gate_up_proj", (total, 2 * width, c.hidden)),
            ("expert_down", "ffn_down_exps.weight", "experts.down_proj", (total, c.hidden, width)),
            ("experts_out", "post_ffw_norm_2.weight", "post_feedforward_layernorm_2.weight", (c.hidden,)),
        ]
    return rows


@dataclass(frozen=True)
class Layer:
    """The weights of one layer; norms are float32 vectors.

    projections: of queries, then of keys unless the layer reads another's, then of values unless keys serve as both.
    k_norm: only with keys. per_layer: only with per-layer embeddings. scale: of all that leaves the layer.
    heads: of queries. kind: of the layer. no_norm: ones, [H].
    """

    attn_in: F32
    projections: tuple[ops.Matrix, ...]
    q_norm: F32
    k_norm: F32 | None
    o: ops.Matrix
    attn_out: F32
    ffn_in: F32
    feed_forward: FeedForward
    ffn_out: F32
    per_layer: PerLayerBlock | None
    scale: np.float32
    heads: int
    kind: Heads
    no_norm: F32
    eps: float

    @classmethod
    def load(cls, load: Loader, i: int, c: Config) -> Layer:
        """Layer number `i`."""
        return cls(
            attn_in=load.vector(f"{i}.attn_in"),
            projections=tuple(load.matrix(f"{i}.{name}") for name in ("q", *c.projected(i))),
            q_norm=load.vector(f"{i}.q_norm"),
            k_norm=load.vector(f"{i}.k_norm") if c.projected(i) else None,
            o=load.matrix(f"{i}.o"),
            attn_out=load.vector(f"{i}.attn_out"),
            ffn_in=load.vector(f"{i}.ffn_in"),
            feed_forward=load_feed_forward(load, i, c),
            ffn_out=load.vector(f"{i}.ffn_out"),
            per_layer=PerLayerBlock.load(load, i, c),
            scale=load.vector(f"{i}.scale")[0],
            heads=c.heads,
            kind=c.attention(i),
            no_norm=np.ones(c.attention(i).width, np.float32),
            eps=c.eps,
        )

    def matrices(self) -> list[ops.Matrix]:
        """Every matrix that a token is multiplied by."""
        small = [self.per_layer.gate, self.per_layer.projection] if self.per_layer else []
        return [*self.projections, self.o, *self.feed_forward.matrices(), *small]

    def project(self, x: F32, table: F32) -> tuple[F32, tuple[F32, F32] | None]:
        """Queries [T, N, H], normed and turned, and keys and values [T, K, H] unless the layer reads another's.

        Values are normed but never turned. Where keys serve as values they do so before their own norm and turn.
        x: the residual stream. table: `ops.rope_table` of the layer's kind.
        """
        width, keys_values = self.kind.width, None
        q, *projected = ops.linear(ops.rms_norm(x, self.attn_in, self.eps), *self.projections)
        if self.k_norm is not None:
            k, v = (part.reshape(-1, self.kind.kv_heads, width) for part in (projected[0], projected[-1]))
            keys_values = ops.norm_rope(k, self.k_norm, self.eps, table), ops.rms_norm(v, self.no_norm, self.eps)
        return ops.norm_rope(q.reshape(-1, self.heads, width), self.q_norm, self.eps, table), keys_values

    def finish(self, x: F32, q: F32, cache: ops.PagedLayer, step: Step, vectors: F32 | None) -> F32:
        """The residual stream after the layer: [T, D].

        Scores are not scaled: the norm of queries has learned how large they should be.
        cache: what the layer reads. vectors: of the per-layer embeddings, [T, P].
        """
        y = ops.attend(q, cache, step, 1.0)
        (y,) = ops.linear(y.reshape(len(x), -1), self.o)
        x, normed = ops.add_norm(x, y, self.attn_out, self.ffn_in, self.eps)
        x = ops.add(x, ops.rms_norm(self.feed_forward(x, normed), self.ffn_out, self.eps))
        if self.per_layer is not None and vectors is not None:
            x = self.per_layer(x, vectors)
        return x * self.scale


def rope_table(positions: I32, kind: Heads) -> F32:
    """Of the layers of one kind: float32[T, H]. positions: int32[T]."""
    return ops.rope_table(positions, kind.width, kind.base, turned=kind.turned)
