"""EmbeddingGemma 2, text: layers like Gemma 4's in which a token sees what follows it too, and one vector for a text.

Norm scales are stored whole, values are normed without a scale, scores are not scaled. Every layer mixes in a signal
made of the token's embedding alone, and its whole result is multiplied by a number of its own.
Source: `EmbeddingGemma2TextModel` of transformers 5.24, the oracle of the tests.
Axes: T tokens of all texts of a step, n texts, D hidden width, L layers, P width of the signal, N query heads,
K key heads, H head width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from gemwright import ops
from gemwright.cache import LayerShape
from gemwright.errors import UnsupportedModel
from gemwright.models.architecture import Architecture
from gemwright.models.embedding_gemma2_config import NAME, Config
from gemwright.models.encoder import Batch, Encoder
from gemwright.models.weights import Loader
from gemwright.step import F32
from gemwright.weights import Weight

__all__ = ["ARCHITECTURE", "Config", "EmbeddingGemma2", "weights"]

MULTIMODAL = ("vision_tower.", "audio_tower.", "embed_vision.", "embed_audio.")
"""What multimodal checkpoints hold beside the text model."""

_NO_GGUF = ""
"""Tensors have no names in GGUF, which has no form for this model."""


def weights(c: Config) -> tuple[Weight, ...]:
    """Every tensor of the model; [out, in] for matrices."""
    named: list[tuple[str, str, tuple[int, ...]]] = [
        ("embed", "embed_tokens.weight", (c.vocabulary, c.hidden)),
        ("signal", "ple.per_layer_model_projection.weight", (len(c.shapes) * c.layer_input, c.hidden)),
        ("signal_norm", "ple.per_layer_projection_norm.weight", (c.layer_input,)),
        ("final_norm", "norm.weight", (c.hidden,)),
        ("projection", "embedding_projection.weight", (c.dimensions, c.hidden)),
    ]
    for i, (_, kv_heads, head_dim) in enumerate(c.shapes):
        queries, keys = c.heads * head_dim, kv_heads * head_dim
        layer: tuple[tuple[str, str, tuple[int, ...]], ...] = (
            ("attn_in", "input_layernorm.weight", (c.hidden,)),
            ("q", "self_attn.q_proj.weight", (queries, c.hidden)),
            ("k", "self_attn.k_proj.weight", (keys, c.hidden)),
            ("v", "self_attn.v_proj.weight", (keys, c.hidden)),
            ("o", "self_attn.o_proj.weight", (c.hidden, queries)),
            ("q_norm", "self_attn.q_norm.weight", (head_dim,)),
            ("k_norm", "self_attn.k_norm.weight", (head_dim,)),
            ("attn_out", "post_attention_layernorm.weight", (c.hidden,)),
            ("ffn_in", "pre_feedforward_layernorm.weight", (c.hidden,)),
            ("gate", "mlp.gate_proj.weight", (c.feed_forward, c.hidden)),
            ("up", "mlp.up_proj.weight", (c.feed_forward, c.hidden)),
            ("down", "mlp.down_proj.weight", (c.hidden, c.feed_forward)),
            ("ffn_out", "post_feedforward_layernorm.weight", (c.hidden,)),
            ("mix_gate", "ple_block.per_layer_input_gate.weight", (c.layer_input, c.hidden)),
            ("mix", "ple_block.per_layer_projection.weight", (c.hidden, c.layer_input)),
            ("mix_out", "ple_block.post_per_layer_input_norm.weight", (c.hidden,)),
            ("scalar", "layer_scalar", (1,)),
        )
        named += [(f"{i}.{name}", f"layers.{i}.{key}", shape) for name, key, shape in layer]
    return tuple(Weight(name, _NO_GGUF, key, shape) for name, key, shape in named)


@dataclass(frozen=True)
class Layer:
    """The weights of one layer; norms are float32 vectors, scalar one number, the rest matrices."""

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
    mix_gate: ops.Matrix
    mix: ops.Matrix
    mix_out: F32
    scalar: np.float32

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
            mix_gate=load.matrix(f"{i}.mix_gate"),
            mix=load.matrix(f"{i}.mix"),
            mix_out=load.vector(f"{i}.mix_out"),
            scalar=load.vector(f"{i}.scalar")[0],
        )


class EmbeddingGemma2(Encoder):
    """The network."""

    config: Config

    def __init__(self, config: Config, load: Loader) -> None:
        super().__init__(config, load)
        self.layers = [Layer.load(load, i) for i in range(len(config.shapes))]
        self.signal = load.matrix("signal")
        self.signal_norm = load.vector("signal_norm")
        self.projection = load.matrix("projection")

    def shapes(self) -> tuple[LayerShape, ...]:
        """Local and global layers differ in windows, key heads and head width."""
        return self.config.shapes

    def passes(self, batch: Batch) -> Iterator[tuple[F32, F32]]:
        """See `Encoder.passes`."""
        c = self.config
        x = self.embedded(batch.step.tokens)
        signals = self._signals(x)
        tables = {shape: self._rope_table(shape, batch) for shape in batch.layers}
        normed = ops.rms_norm(x, self.layers[0].attn_in, c.eps)
        next_norms = [*(w.attn_in for w in self.layers[1:]), self.final_norm]
        for i, (w, shape, next_norm) in enumerate(zip(self.layers, c.shapes, next_norms, strict=True)):
            y = self._attention(w, normed, tables[shape], shape, batch)
            x, normed = ops.add_norm(x, y, w.attn_out, w.ffn_in, c.eps)
            (y,) = ops.linear(ops.linear_geglu(normed, w.gate, w.up), w.down)
            x = ops.add(x, ops.rms_norm(y, w.ffn_out, c.eps))
            x = self._mixed(w, x, np.ascontiguousarray(signals[:, i])) * w.scalar
            normed = ops.rms_norm(x, next_norm, c.eps)
            yield x, normed

    def project(self, means: F32) -> F32:
        """Through one matrix. transformers multiplies every token by it and takes the mean then, which is the same."""
        (vectors,) = ops.linear(means, self.projection)
        return vectors

    def _signals(self, x: F32) -> F32:
        """What each layer mixes in: float32[T, L, P]. x: the embedded tokens."""
        c = self.config
        (y,) = ops.linear(x, self.signal)
        y = (y * np.float32(c.hidden**-0.5)).reshape(len(x), len(c.shapes), c.layer_input)
        return ops.rms_norm(y, self.signal_norm, c.eps)

    def _rope_table(self, shape: LayerShape, batch: Batch) -> F32:
        base = self.config.local_base if shape.window else self.config.global_base
        return ops.rope_table(batch.step.positions, shape.head_dim, base)

    def _attention(self, w: Layer, normed: F32, table: F32, shape: LayerShape, batch: Batch) -> F32:
        """Attention and its output matrix: [T, D]. Queries [T, N, H], keys and values [T, K, H]."""
        c, (window, kv_heads, head_dim) = self.config, shape
        q, k, v = ops.linear(normed, w.q, w.k, w.v)
        q = ops.norm_rope(q.reshape(-1, c.heads, head_dim), w.q_norm, c.eps, table)
        k = ops.norm_rope(k.reshape(-1, kv_heads, head_dim), w.k_norm, c.eps, table)
        v = ops.rms_norm(v.reshape(-1, kv_heads, head_dim), np.ones(head_dim, np.float32), c.eps)
        ops.cache_write(batch.layers[shape], batch.step, k, v)
        y = ops.attend(q, batch.layers[shape], batch.step, 1.0, reach=batch.reach(window))
        (y,) = ops.linear(y.reshape(len(normed), -1), w.o)
        return y

    def _mixed(self, w: Layer, x: F32, signal: F32) -> F32:
        """x and, through a bottleneck, the layer's signal [T, P], gated by x: [T, D]."""
        (gate,) = ops.linear(x, w.mix_gate)
        (y,) = ops.linear(ops.geglu_mul(gate, signal), w.mix)
        return ops.add(x, ops.rms_norm(y, w.mix_out, self.config.eps))


def gguf_metadata(config: Config) -> dict[str, Any]:
    """Raises UnsupportedModel."""
    raise UnsupportedModel("There is no GGUF form of EmbeddingGemma 2.", hint="Load its safetensors at a level.")


ARCHITECTURE = Architecture(
    NAME,
    Config,
    weights,
    EmbeddingGemma2,
    gguf_metadata,
    wide=("projection",),
    heads={},
    tables=("embed",),
    ignore=MULTIMODAL,
)
