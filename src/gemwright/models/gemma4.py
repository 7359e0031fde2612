"""Gemma 4, text: E2B, E4B, 12B, 26B-A4B and 31B.

Four structures make five sizes: per-layer embeddings and layers without keys of their own (E2B, E4B), keys that serve
as values (12B, 26B-A4B, 31B), a mixture of experts (26B-A4B). Each is a piece a layer has or has not, as the
configuration says. Source: `Gemma4TextModel` and `Gemma4UnifiedTextModel` of transformers 5.24, the tests' oracle.
Axes: T tokens of the flat batch, D hidden width, N query heads, K key heads, H head width, V vocabulary, L layers,
P width of a per-layer vector, E experts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
import numpy.typing as npt

from gemwright import ops
from gemwright.cache import KVCache, LayerShape
from gemwright.models.architecture import Architecture
from gemwright.models.decoder import Decoder
from gemwright.models.gemma4_config import Config, Heads
from gemwright.models.gemma4_feed_forward import FeedForward, load_feed_forward
from gemwright.models.gemma4_gguf import gguf_metadata, rope_freqs
from gemwright.models.gemma4_per_layer import PerLayerBlock, PerLayerInputs
from gemwright.models.weights import Loader
from gemwright.step import F32, Cost, Step
from gemwright.weights import Weight

__all__ = ["ARCHITECTURE", "OTHER_SENSES", "Config", "Gemma4", "weights"]

OTHER_SENSES = ("vision_tower.", "vision_embedder.", "embed_vision.", "audio_tower.", "embed_audio.")
"""What multimodal checkpoints hold beside the text model."""

Row = tuple[str, str, str, tuple[int, ...]]


def weights(c: Config) -> tuple[Weight, ...]:
    """Every tensor of the model; [out, in] for matrices, [E, out, in] for experts. Norms are whole factors."""
    rows: list[Row] = [
        ("embed", "token_embd.weight", "embed_tokens.weight", (c.vocabulary, c.hidden)),
        ("final_norm", "output_norm.weight", "norm.weight", (c.hidden,)),
    ]
    if c.per_layer_width:
        p, all_p = c.per_layer_width, c.layers * c.per_layer_width
        rows += [
            ("per_layer_embed", "per_layer_token_embd.weight", "embed_tokens_per_layer.weight", (c.vocabulary, all_p)),
            ("per_layer_in", "per_layer_model_proj.weight", "per_layer_model_projection.weight", (all_p, c.hidden)),
            ("per_layer_in_norm", "per_layer_proj_norm.weight", "per_layer_projection_norm.weight", (p,)),
        ]
    for i in range(c.layers):
        rows += [
            (f"{i}.{name}", f"blk.{i}.{gguf}", f"layers.{i}.{hf}", shape) for name, gguf, hf, shape in _layer(c, i)
        ]
    return tuple(Weight(*row) for row in rows)


def _layer(c: Config, i: int) -> list[Row]:
    """The tensors of layer number `i`."""
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


def unused(c: Config) -> tuple[str, ...]:
    """Keys and values of layers that read another's: training left them in some files."""
    shared = range(c.owners, c.layers)
    return tuple(
        key for i in shared for key in (f"layers.{i}.self_attn.{part}." for part in ("k_proj", "v_proj", "k_norm"))
    ) + tuple(f"blk.{i}.attn_{part}.weight" for i in shared for part in ("k", "v", "k_norm"))


@dataclass(frozen=True)
class Layer:
    """The weights of one layer; norms are float32 vectors.

    projections: of queries, then of keys unless the layer reads another's, then of values unless keys serve as both.
    k_norm: only with keys. per_layer: only with per-layer embeddings. scale: of all that leaves the layer.
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
        )

    def matrices(self) -> list[ops.Matrix]:
        """Every matrix that a token is multiplied by."""
        small = [self.per_layer.gate, self.per_layer.projection] if self.per_layer else []
        return [*self.projections, self.o, *self.feed_forward.matrices(), *small]


@dataclass(frozen=True)
class Tokens:
    """What the layers need to know of the tokens they compute, beside the residual stream.

    nearby, everywhere: rope tables of local and of global layers. per_layer: vectors, [T, L, P].
    """

    step: Step
    nearby: F32
    everywhere: F32
    per_layer: F32 | None

    def only(self, rows: npt.NDArray[np.int64]) -> Tokens:
        """These of the tokens, in the same order."""
        per_layer = None if self.per_layer is None else self.per_layer[rows]
        return Tokens(self.step.only(rows), self.nearby[rows], self.everywhere[rows], per_layer)


class Gemma4(Decoder):
    """The network: `forward` for hidden states, `logits` for the rows that need them.

    shortcut: whether layers above the last owner of keys and values compute only the tokens that are wanted. Nobody
    reads the others there; False computes them all the same, to measure what that saves.
    """

    config: Config
    shortcut = True

    def __init__(self, config: Config, load: Loader) -> None:
        super().__init__(config, load)
        self.final_softcap = config.final_softcap
        self.per_layer_inputs = PerLayerInputs.load(load, config)
        self.layers = [Layer.load(load, i, config) for i in range(config.layers)]
        self._ones = {kind.width: np.ones(kind.width, np.float32) for kind in (config.nearby, config.everywhere)}

    def cache_layers(self) -> list[LayerShape]:
        """The owners, with their windows."""
        return self.attended_layers()[: self.config.owners]

    def attended_layers(self) -> list[LayerShape]:
        """Every layer; one that reads another's has the shape of its kind all the same."""
        kinds = map(self.config.attention, range(self.config.layers))
        return [LayerShape(w, kind.kv_heads, kind.width) for w, kind in zip(self.config.windows, kinds, strict=True)]

    def matrices(self) -> list[ops.Matrix]:
        """Those of the layers and of the per-layer inputs; of the experts as many as a token uses."""
        inputs = [self.per_layer_inputs.projection] if self.per_layer_inputs else []
        return [*inputs, *(matrix for w in self.layers for matrix in w.matrices())]

    def cost(self, depth: int) -> Cost:
        """As every decoder, and a row of the table of per-layer embeddings, which is all a token reads of it."""
        cost = super().cost(depth)
        row_bytes = self.per_layer_inputs.table.row_bytes if self.per_layer_inputs else 0
        return replace(cost, weight_bytes=cost.weight_bytes + row_bytes)

    def forward(self, step: Step, cache: KVCache, rows: Sequence[int] | None = None) -> F32:
        """Hidden states after the final norm: float32[T, D], or [len(rows), D] of those tokens of the step alone.

        The last layer that keeps keys and values computes them for all tokens; then only the wanted ones go on.
        """
        c = self.config
        wanted = np.arange(len(step)) if rows is None else np.asarray(rows, np.int64)
        x = ops.embed(self.embed, step.tokens, sqrt(c.hidden))  # docs/decisions/embedding-scale.md
        tokens = Tokens(
            step,
            nearby=_rope_table(step, c.nearby),
            everywhere=_rope_table(step, c.everywhere),
            per_layer=self.per_layer_inputs(x, step.tokens) if self.per_layer_inputs else None,
        )
        last = c.owners - 1 if self.shortcut else c.layers
        for i, w in enumerate(self.layers):
            q = self._project(i, w, x, tokens, cache)
            if i == last and len(wanted) < len(step):
                if not len(wanted):
                    return np.empty((0, c.hidden), np.float32)
                x, q, tokens = x[wanted], q[wanted], tokens.only(wanted)
            x = self._block(i, w, x, q, tokens, cache)
        x = x if len(x) == len(wanted) else x[wanted]
        return ops.rms_norm(x, self.final_norm, c.eps)

    def _project(self, i: int, w: Layer, x: F32, tokens: Tokens, cache: KVCache) -> F32:
        """Queries [T, N, H], normed and turned; keys and values, if the layer has any, go to the cache.

        Values are normed but never turned, and where keys serve as values they do so before their norm and turn.
        """
        c, kind = self.config, self.config.attention(i)
        table = tokens.nearby if c.windows[i] else tokens.everywhere
        q, *keys_values = ops.linear(ops.rms_norm(x, w.attn_in, c.eps), *w.projections)
        if w.k_norm is not None:
            k = keys_values[0].reshape(-1, kind.kv_heads, kind.width)
            v = keys_values[-1].reshape(-1, kind.kv_heads, kind.width)
            v = ops.rms_norm(v, self._ones[kind.width], c.eps)
            ops.cache_write(cache.layer(i), tokens.step, ops.norm_rope(k, w.k_norm, c.eps, table), v)
        return ops.norm_rope(q.reshape(-1, c.heads, kind.width), w.q_norm, c.eps, table)

    def _block(self, i: int, w: Layer, x: F32, q: F32, tokens: Tokens, cache: KVCache) -> F32:
        """The residual stream after layer `i`. Scores are not scaled: the norm of queries has learned how large they
        should be."""
        c = self.config
        y = ops.attend(q, cache.layer(c.owner(i)), tokens.step, 1.0)
        (y,) = ops.linear(y.reshape(len(x), -1), w.o)
        x, normed = ops.add_norm(x, y, w.attn_out, w.ffn_in, c.eps)
        x = ops.add(x, ops.rms_norm(w.feed_forward(x, normed), w.ffn_out, c.eps))
        if w.per_layer is not None and tokens.per_layer is not None:
            x = w.per_layer(x, tokens.per_layer[:, i])
        return x * w.scale


def _rope_table(step: Step, kind: Heads) -> F32:
    return ops.rope_table(step.positions, kind.width, kind.base, turned=kind.turned)


ARCHITECTURE = Architecture(
    "gemma4",
    Config,
    weights,
    Gemma4,
    gguf_metadata,
    wide=("embed", "router"),  # a little error in a router's logits is another choice of experts
    tables=("per_layer_embed",),
    ignore=OTHER_SENSES,
    unused=unused,
    constants=rope_freqs,
)
