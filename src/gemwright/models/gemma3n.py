"""Gemma 3n, text: E2B and E4B, and what is sliced out of E4B.

Beside Gemma 3's attention and feed-forward, a layer has four copies of the residual stream of which it computes one
(AltUp, arXiv:2301.13310), a learned residual of low rank (LAuReL, arXiv:2411.07501), a vector of its own for every
token (per-layer embeddings) and, in some layers, a gate that is mostly zero (arXiv:2506.06644). The upper layers have
no keys and values of their own. Source: `Gemma3nTextModel` of transformers 5.24 is the oracle of the tests.

Axes: T tokens of the flat batch, S streams, D hidden width, N query heads, K key heads, H head width, V vocabulary,
L layers, P width of a per-layer vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from gemwright import ops
from gemwright.cache import KVCache, LayerShape
from gemwright.models.architecture import Architecture
from gemwright.models.decoder import Decoder
from gemwright.models.gemma3n_config import Config
from gemwright.models.gemma3n_gguf import gguf_metadata
from gemwright.models.gemma3n_weights import SQRT_HALF, Layer, weights
from gemwright.models.weights import Loader
from gemwright.step import F32, I32, Step

__all__ = ["ARCHITECTURE", "OTHER_SENSES", "Config", "Gemma3n", "weights"]

OTHER_SENSES = ("vision_tower.", "audio_tower.", "embed_vision.", "embed_audio.")
"""What multimodal checkpoints hold beside the text model."""

LEAST_SQUARE = np.float32(1e-5)
"""A stream smaller than this, by the mean of its squares, is not brought to the size of the first one."""


@dataclass(frozen=True)
class Tokens:
    """What the layers need to know of the tokens they compute, beside the streams.

    nearby, everywhere: rope tables of local and of global layers. per_layer: the tokens' own vectors, [T, L, P].
    """

    step: Step
    nearby: F32
    everywhere: F32
    per_layer: F32

    def only(self, rows: npt.NDArray[np.int64]) -> Tokens:
        """These of the tokens, in the same order."""
        return Tokens(self.step.only(rows), self.nearby[rows], self.everywhere[rows], self.per_layer[rows])


class Gemma3n(Decoder):
    """The network: `forward` for hidden states, `logits` for the rows that need them.

    shortcut: whether layers above the last owner of keys and values compute only the tokens that are wanted. Nobody
    reads the others there; False computes them up to the last layer all the same, to measure what that saves.
    """

    config: Config
    shortcut = True

    def __init__(self, config: Config, load: Loader) -> None:
        super().__init__(config, load)
        self.final_softcap = config.final_softcap
        self.per_layer_table = load.table("per_layer_embed")
        self.per_layer_in = load.matrix("per_layer_in")
        self.per_layer_in_norm = load.vector("per_layer_in_norm") * SQRT_HALF
        self.stream_in = [load.matrix(f"stream_in.{i}") for i in range(config.streams - 1)]
        self.stream_out = [load.matrix(f"stream_out.{i}") for i in range(config.streams - 1)]
        self.layers = [Layer.load(load, i, config) for i in range(config.layers)]
        self._owner = [config.owner(i) for i in range(config.layers)]
        self._unchanged = np.eye(config.streams, dtype=np.float32)
        self._ones = np.ones(config.head_dim, np.float32)

    def cache_layers(self) -> list[LayerShape]:
        """The owners, with their windows."""
        return self.attended_layers()[: self.config.owners]

    def attended_layers(self) -> list[LayerShape]:
        """Every layer; one that reads another's keys and values has the same window."""
        return [LayerShape(window, self.config.kv_heads, self.config.head_dim) for window in self.config.windows]

    def matrices(self) -> list[ops.Matrix]:
        """Those around the layers, and those of each."""
        around = [self.per_layer_in, *self.stream_in, *self.stream_out]
        return [*around, *(matrix for w in self.layers for matrix in w.matrices())]

    def forward(self, step: Step, cache: KVCache, rows: Sequence[int] | None = None) -> F32:
        """Hidden states after the final norm: float32[T, D], or [len(rows), D] of those tokens of the step alone.

        The last layer that keeps keys and values computes them for all tokens; then only the wanted ones go on.
        """
        c = self.config
        wanted = None if rows is None else np.asarray(rows, np.int64)
        embedded = ops.embed(self.embed, step.tokens, sqrt(c.hidden))  # docs/decisions/embedding-scale.md
        tokens = Tokens(
            step,
            nearby=ops.rope_table(step.positions, c.head_dim, c.local_base),
            everywhere=ops.rope_table(step.positions, c.head_dim, c.global_base),
            per_layer=self._per_layer_vectors(embedded, step.tokens),
        )
        x = self._to_streams(embedded)
        last = (c.owners if self.shortcut else c.layers) - 1  # of the layers that need every token
        for i, w in enumerate(self.layers):
            x = self._predict(w, x)
            normed = ops.rms_norm(_stream(x, 0), w.attn_in, c.eps)
            q = self._project(i, w, normed, tokens, cache)
            if wanted is not None and i == last:
                if not len(wanted):
                    return np.empty((0, c.hidden), np.float32)
                x, normed, q, tokens = x[wanted], normed[wanted], q[wanted], tokens.only(wanted)
            x = self._block(i, w, x, normed, q, tokens, cache)
        return ops.rms_norm(self._merge(x), self.final_norm, c.eps)

    def _per_layer_vectors(self, embedded: F32, tokens: I32) -> F32:
        """(√P · the token's row of the table + norm(projection of its embedding / √D)) / √2: [T, L, P]."""
        c = self.config
        shape = (len(tokens), c.layers, c.per_layer_width)
        (y,) = ops.linear(embedded, self.per_layer_in)
        # A norm divides by the size of what it is given: 1 / √D before it is eps · D in it.
        projected = ops.rms_norm(y.reshape(shape), self.per_layer_in_norm, c.eps * c.hidden)
        own = self.per_layer_table.rows(np.where(tokens < c.per_layer_vocabulary, tokens, np.int32(0)))
        own *= np.float32(sqrt(c.per_layer_width / 2))
        return ops.add(projected.reshape(own.shape), own).reshape(shape)

    def _to_streams(self, embedded: F32) -> F32:
        """The embedding, and S - 1 projections of it brought to its size: [T, S, D]."""
        others = ops.linear(embedded, *self.stream_in)
        return np.stack([embedded, *(y * _ratio(embedded, y)[:, None] for y in others)], axis=1)

    def _merge(self, x: F32) -> F32:
        """The mean of the first stream and projections of the others, brought to its size: [T, D]."""
        first = _stream(x, 0)
        others = [ops.linear(_stream(x, i), matrix)[0] for i, matrix in enumerate(self.stream_out, 1)]
        factors = np.stack([np.ones(len(x), np.float32), *(_ratio(first, y) for y in others)], axis=1)
        return ops.mix(np.stack([first, *others], axis=1), factors[:, None] / np.float32(len(factors[0])))[:, 0]

    def _predict(self, w: Layer, x: F32) -> F32:
        """Each stream plus what the first one, through the router, wants of all of them: [T, S, D]."""
        s = self.config.streams
        return ops.mix(x, self._routed(w, _stream(x, 0), w.predict).reshape(-1, s, s) + self._unchanged)

    def _routed(self, w: Layer, x: F32, coefficients: ops.Matrix) -> F32:
        """What a state [T, D] says of the streams, S numbers within ±1, times `coefficients`."""
        (y,) = ops.linear(ops.rms_norm(x, w.router_in, self.config.eps), w.router)
        (y,) = ops.linear(ops.softcap(y, 1.0), coefficients)
        return y

    def _project(self, i: int, w: Layer, normed: F32, tokens: Tokens, cache: KVCache) -> F32:
        """Queries [T, N, H], normed and turned; keys and values, if the layer has its own, go to the cache.

        Values are normed too, without a factor of their own.
        """
        c = self.config
        table = tokens.nearby if c.windows[i] else tokens.everywhere
        if w.own is None:
            (q,) = ops.linear(normed, w.q)
        else:
            q, k, v = ops.linear(normed, w.q, w.own.k, w.own.v)
            k = ops.norm_rope(k.reshape(-1, c.kv_heads, c.head_dim), w.own.k_norm, c.eps, table)
            v = ops.rms_norm(v.reshape(-1, c.kv_heads, c.head_dim), self._ones, c.eps)
            ops.cache_write(cache.layer(i), tokens.step, k, v)
        return ops.norm_rope(q.reshape(-1, c.heads, c.head_dim), w.q_norm, c.eps, table)

    def _block(self, i: int, w: Layer, x: F32, normed: F32, q: F32, tokens: Tokens, cache: KVCache) -> F32:
        """The streams after layer `i`. x: as predicted. normed: of the first of them, the one that is computed.

        Scores are not scaled: the norm of queries has learned how large they should be.
        """
        eps, first = self.config.eps, _stream(x, 0)
        y = ops.attend(q, cache.layer(self._owner[i]), tokens.step, 1.0)
        (y,) = ops.linear(y.reshape(len(x), -1), w.o)
        (z,) = ops.linear(normed, w.laurel_in)
        (z,) = ops.linear(z, w.laurel_out)
        laurel = ops.add(ops.add(first, normed) * SQRT_HALF, ops.rms_norm(z, w.laurel_norm, eps))
        state, normed = ops.add_norm(laurel, y, w.attn_out, w.ffn_in, eps)
        (y,) = ops.linear(_gated(w, normed), w.down)
        state = ops.add(state, ops.rms_norm(y, w.ffn_out, eps))

        x = ops.spread(x, self._routed(w, state, w.correct) + np.float32(1), state - first)
        (y,) = ops.linear(_stream(x, 0) * w.per_layer_scale, w.per_layer_gate)
        (y,) = ops.linear(ops.geglu_mul(y, np.ascontiguousarray(tokens.per_layer[:, i])), w.per_layer_out)
        return ops.spread(x, _all_but_first(x), ops.rms_norm(y, w.per_layer_norm, eps))


def _gated(w: Layer, normed: F32) -> F32:
    """gelu(gate) · up; where gates are cut, before the GELU."""
    if w.cut is None:
        return ops.linear_geglu(normed, w.gate, w.up)
    gate, up = ops.linear(normed, w.gate, w.up)
    return ops.geglu_mul(ops.sparsify(gate, w.cut), up)


def _stream(x: F32, i: int) -> F32:
    return np.ascontiguousarray(x[:, i])


def _all_but_first(x: F32) -> F32:
    """Factors that change every stream but the first: float32[T, S]."""
    factors = np.ones(x.shape[:2], np.float32)
    factors[:, 0] = 0
    return factors


def _ratio(x: F32, y: F32) -> F32:
    """The size of x over the size of y, each the root of its mean square: float32[T]."""
    ratio: F32 = np.sqrt(ops.mean_square(x) / np.maximum(ops.mean_square(y), LEAST_SQUARE))
    return ratio


ARCHITECTURE = Architecture(
    "gemma3n", Config, weights, Gemma3n, gguf_metadata, tables=("per_layer_embed",), ignore=OTHER_SENSES
)
