"""The tensors of Gemma 3n, as a table, and the weights of one layer.

Axes: S streams, D hidden width, N query heads, K key heads, H head width, V vocabulary, L layers, P width of a
per-layer vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from gemwright import ops
from gemwright.models.gemma3n_config import Config
from gemwright.models.weights import Loader
from gemwright.step import F32
from gemwright.weights import Weight

SQRT_HALF = np.float32(sqrt(0.5))


def weights(c: Config) -> tuple[Weight, ...]:
    """Every tensor of the model; [out, in] for matrices. Norms are whole factors."""
    all_p = c.layers * c.per_layer_width
    table = ("per_layer_embed", "per_layer_token_embd.weight", "embed_tokens_per_layer.weight")
    projection = ("per_layer_in", "per_layer_model_proj.weight", "per_layer_model_projection.weight")
    norm = ("per_layer_in_norm", "per_layer_proj_norm.weight", "per_layer_projection_norm.weight")
    rows = [
        Weight("embed", "token_embd.weight", "embed_tokens.weight", (c.vocabulary, c.hidden)),
        Weight("final_norm", "output_norm.weight", "norm.weight", (c.hidden,)),
        Weight(*table, (c.per_layer_vocabulary, all_p), gguf_rows=c.vocabulary),
        Weight(*projection, (all_p, c.hidden)),
        Weight(*norm, (c.per_layer_width,)),
    ]
    others = c.streams - 1
    for i in range(others):
        into = (f"stream_in.{i}", "altup_proj.weight", f"altup_projections.{i}.weight")
        out = (f"stream_out.{i}", "altup_unembd_proj.weight", f"altup_unembed_projections.{i}.weight")
        rows += [Weight(*names, (c.hidden, c.hidden), part=(i, others)) for names in (into, out)]
    for i in range(c.layers):
        for row in _layer(c, i):
            rows.append(_of_layer(i, row))
        for row in _keys_values(c):
            rows.append(_of_layer(i, row, unread=i >= c.owners))
    return tuple(rows)


Row = tuple[str, str, str, tuple[int, ...]]


def _of_layer(i: int, row: Row, *, unread: bool = False) -> Weight:
    name, gguf, hf, shape = row
    return Weight(f"{i}.{name}", f"blk.{i}.{gguf}.weight", f"layers.{i}.{hf}", shape, unread=unread)


def _layer(c: Config, i: int) -> list[Row]:
    """The tensors of layer number `i`, without those of keys and values."""
    queries, inner = c.heads * c.head_dim, c.feed_forward[i]
    return [
        ("router_in", "altup_router_norm", "altup.router_norm.weight", (c.hidden,)),
        ("altup_router", "altup_router", "altup.modality_router.weight", (c.streams, c.hidden)),
        ("altup_predict", "altup_predict_coef", "altup.prediction_coefs.weight", (c.streams**2, c.streams)),
        ("altup_correct", "altup_correct_coef", "altup.correction_coefs.weight", (c.streams, c.streams)),
        ("attn_in", "attn_norm", "input_layernorm.weight", (c.hidden,)),
        ("laurel_in", "laurel_l", "laurel.linear_left.weight", (c.laurel_rank, c.hidden)),
        ("laurel_out", "laurel_r", "laurel.linear_right.weight", (c.hidden, c.laurel_rank)),
        ("laurel_norm", "laurel_post_norm", "laurel.post_laurel_norm.weight", (c.hidden,)),
        ("q", "attn_q", "self_attn.q_proj.weight", (queries, c.hidden)),
        ("q_norm", "attn_q_norm", "self_attn.q_norm.weight", (c.head_dim,)),
        ("o", "attn_output", "self_attn.o_proj.weight", (c.hidden, queries)),
        ("attn_out", "post_attention_norm", "post_attention_layernorm.weight", (c.hidden,)),
        ("ffn_in", "ffn_norm", "pre_feedforward_layernorm.weight", (c.hidden,)),
        ("gate", "ffn_gate", "mlp.gate_proj.weight", (inner, c.hidden)),
        ("up", "ffn_up", "mlp.up_proj.weight", (inner, c.hidden)),
        ("down", "ffn_down", "mlp.down_proj.weight", (c.hidden, inner)),
        ("ffn_out", "post_ffw_norm", "post_feedforward_layernorm.weight", (c.hidden,)),
        ("per_layer_scale", "altup_correct_scale", "altup.correct_output_scale", (c.hidden,)),
        ("per_layer_gate", "inp_gate", "per_layer_input_gate.weight", (c.per_layer_width, c.hidden)),
        ("per_layer_out", "proj", "per_layer_projection.weight", (c.hidden, c.per_layer_width)),
        ("per_layer_norm", "post_norm", "post_per_layer_input_norm.weight", (c.hidden,)),
    ]


def _keys_values(c: Config) -> list[Row]:
    """The tensors of a layer's own keys and values. Published files have them in layers that read another's, too."""
    keys = c.kv_heads * c.head_dim
    return [
        ("k", "attn_k", "self_attn.k_proj.weight", (keys, c.hidden)),
        ("v", "attn_v", "self_attn.v_proj.weight", (keys, c.hidden)),
        ("k_norm", "attn_k_norm", "self_attn.k_norm.weight", (c.head_dim,)),
    ]


@dataclass(frozen=True)
class KeysValues:
    """What makes the keys and values of a layer that has its own."""

    k: ops.Matrix
    v: ops.Matrix
    k_norm: F32

    @classmethod
    def load(cls, load: Loader, i: int) -> KeysValues:
        """Of layer number `i`."""
        return cls(load.matrix(f"{i}.k"), load.matrix(f"{i}.v"), load.vector(f"{i}.k_norm"))


@dataclass(frozen=True)
class Layer:
    """The weights of one layer; norms are float32 vectors, the rest matrices.

    router_in: the norm's factor / D. attn_out, laurel_norm: the norm's factor / √2, which the sum of the residuals is
    divided by. own: unless the layer reads another's keys and values. cut: of the gates, see `Config.cuts`.
    """

    router_in: F32
    router: ops.Matrix
    predict: ops.Matrix
    correct: ops.Matrix
    attn_in: F32
    laurel_in: ops.Matrix
    laurel_out: ops.Matrix
    laurel_norm: F32
    q: ops.Matrix
    q_norm: F32
    own: KeysValues | None
    o: ops.Matrix
    attn_out: F32
    ffn_in: F32
    gate: ops.Matrix
    up: ops.Matrix
    cut: float | None
    down: ops.Matrix
    ffn_out: F32
    per_layer_scale: F32
    per_layer_gate: ops.Matrix
    per_layer_out: ops.Matrix
    per_layer_norm: F32

    @classmethod
    def load(cls, load: Loader, i: int, c: Config) -> Layer:
        """Layer number `i`."""
        return cls(
            router_in=load.vector(f"{i}.router_in") / np.float32(c.hidden),
            router=load.matrix(f"{i}.altup_router"),
            predict=load.matrix(f"{i}.altup_predict"),
            correct=load.matrix(f"{i}.altup_correct"),
            attn_in=load.vector(f"{i}.attn_in"),
            laurel_in=load.matrix(f"{i}.laurel_in"),
            laurel_out=load.matrix(f"{i}.laurel_out"),
            laurel_norm=load.vector(f"{i}.laurel_norm") * SQRT_HALF,
            q=load.matrix(f"{i}.q"),
            q_norm=load.vector(f"{i}.q_norm"),
            own=KeysValues.load(load, i) if i < c.owners else None,
            o=load.matrix(f"{i}.o"),
            attn_out=load.vector(f"{i}.attn_out") * SQRT_HALF,
            ffn_in=load.vector(f"{i}.ffn_in"),
            gate=load.matrix(f"{i}.gate"),
            up=load.matrix(f"{i}.up"),
            cut=c.cuts[i],
            down=load.matrix(f"{i}.down"),
            ffn_out=load.vector(f"{i}.ffn_out"),
            per_layer_scale=load.vector(f"{i}.per_layer_scale"),
            per_layer_gate=load.matrix(f"{i}.per_layer_gate"),
            per_layer_out=load.matrix(f"{i}.per_layer_out"),
            per_layer_norm=load.vector(f"{i}.per_layer_norm"),
        )

    def matrices(self) -> list[ops.Matrix]:
        """Every matrix that a token is multiplied by; by the router it is twice."""
        mixing = [self.router, self.predict, self.correct]
        attention = [self.q, *([self.own.k, self.own.v] if self.own else []), self.o, self.laurel_in, self.laurel_out]
        return [*mixing, *attention, self.gate, self.up, self.down, self.per_layer_gate, self.per_layer_out]
