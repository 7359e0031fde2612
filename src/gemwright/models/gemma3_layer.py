"""One layer of Gemma 3: its weights and what it computes. Gemma 3 itself and EmbeddingGemma are made of these.

Source: arXiv:2503.19786. Axes: T tokens of the flat batch, D hidden width, N query heads, K key heads, H head width.
"""

from __future__ import annotations

from dataclasses import dataclass

from gemwright import ops
from gemwright.models.gemma3_config import Config
from gemwright.models.weights import Loader
from gemwright.step import F32, I32, Step
from gemwright.weights import Weight


def layer_weights(c: Config, i: int) -> list[Weight]:
    """Every tensor of layer number `i`; [out, in] for matrices."""
    queries, keys = c.heads * c.head_dim, c.kv_heads * c.head_dim
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
    return [
        Weight(f"{i}.{name}", f"blk.{i}.{gguf}.weight", f"layers.{i}.{hf}.weight", shape, add_one=len(shape) == 1)
        for name, gguf, hf, shape in layer
    ]


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


def rope_tables(c: Config, positions: I32) -> dict[bool, F32]:
    """The angles of the step's tokens, by whether a layer is global: float32[T, H] each."""
    return {
        True: ops.rope_table(positions, c.head_dim, c.global_base, c.global_stretch),
        False: ops.rope_table(positions, c.head_dim, c.local_base),
    }


def qkv(c: Config, w: Layer, normed: F32, table: F32) -> tuple[F32, F32, F32]:
    """Queries [T, N, H], keys and values [T, K, H]; queries and keys normed and turned."""
    q, k, v = ops.linear(normed, w.q, w.k, w.v)
    q = ops.norm_rope(q.reshape(-1, c.heads, c.head_dim), w.q_norm, c.eps, table)
    k = ops.norm_rope(k.reshape(-1, c.kv_heads, c.head_dim), w.k_norm, c.eps, table)
    return q, k, v.reshape(-1, c.kv_heads, c.head_dim)


def block(
    c: Config,
    w: Layer,
    x: F32,
    q: F32,
    next_norm: F32,
    cache: ops.PagedLayer,
    step: Step,
    reach: I32 | None = None,
) -> tuple[F32, F32]:
    """The residual stream after attention and feed-forward, and its norm for what follows: both [T, D].

    reach: the last position each token sees; by default its own (`ops.attend`).
    """
    y = ops.attend(q, cache, step, c.query_scale, reach=reach)
    (y,) = ops.linear(y.reshape(len(x), -1), w.o)
    x, normed = ops.add_norm(x, y, w.attn_out, w.ffn_in, c.eps)
    (y,) = ops.linear(ops.linear_geglu(normed, w.gate, w.up), w.down)
    return ops.add_norm(x, y, w.ffn_out, next_norm, c.eps)
