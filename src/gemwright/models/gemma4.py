"""Gemma 4, text: E2B, E4B, 12B, 26B-A4B and 31B.

Four structures make five sizes: per-layer embeddings and layers without keys of their own (E2B, E4B), keys that serve
as values (12B, 26B-A4B, 31B), a mixture of experts (26B-A4B). Each is a piece a layer has or has not, as the
configuration says. Source: `Gemma4TextModel` and `Gemma4UnifiedTextModel` of transformers 5.24, the tests' oracle.
Axes: T tokens of the flat batch, D hidden width, V vocabulary, L layers, P width of a per-layer vector, E experts.
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
from gemwright.models.gemma4_config import Config
from gemwright.models.gemma4_gguf import gguf_metadata, rope_freqs
from gemwright.models.gemma4_layer import Layer, Row, layer_weights, rope_table
from gemwright.models.gemma4_per_layer import PerLayerInputs
from gemwright.models.weights import Loader
from gemwright.step import F32, Cost, Step
from gemwright.weights import Weight

__all__ = ["ARCHITECTURE", "OTHER_SENSES", "Config", "Gemma4", "weights"]

OTHER_SENSES = ("vision_tower.", "vision_embedder.", "embed_vision.", "audio_tower.", "embed_audio.")
"""What multimodal checkpoints hold beside the text model."""


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
            (f"{i}.{name}", f"blk.{i}.{gguf}", f"layers.{i}.{hf}", shape)
            for name, gguf, hf, shape in layer_weights(c, i)
        ]
    return tuple(Weight(*row) for row in rows)


def unused(c: Config) -> tuple[str, ...]:
    """Keys and values of layers that read another's: training left them in some files."""
    shared = range(c.owners, c.layers)
    safetensors = (f"layers.{i}.self_attn.{part}." for i in shared for part in ("k_proj", "v_proj", "k_norm"))
    gguf = (f"blk.{i}.attn_{part}.weight" for i in shared for part in ("k", "v", "k_norm"))
    return *safetensors, *gguf


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
            nearby=rope_table(step.positions, c.nearby),
            everywhere=rope_table(step.positions, c.everywhere),
            per_layer=self.per_layer_inputs(x, step.tokens) if self.per_layer_inputs else None,
        )
        last = c.owners - 1 if self.shortcut else c.layers
        for i, w in enumerate(self.layers):
            q, keys_values = w.project(x, tokens.nearby if c.windows[i] else tokens.everywhere)
            if keys_values is not None:
                ops.cache_write(cache.layer(i), tokens.step, *keys_values)
            if i == last and len(wanted) < len(step):
                if not len(wanted):
                    return np.empty((0, c.hidden), np.float32)
                x, q, tokens = x[wanted], q[wanted], tokens.only(wanted)
            vectors = None if tokens.per_layer is None else tokens.per_layer[:, i]
            x = w.finish(x, q, cache.layer(c.owner(i)), tokens.step, vectors)
        x = x if len(x) == len(wanted) else x[wanted]
        return ops.rms_norm(x, self.final_norm, c.eps)


ARCHITECTURE = Architecture(
    "gemma4",
    Config,
    weights,
    Gemma4,
    gguf_metadata,
    wide=("embed", "router"),  # where a file has a quantised router, its choice matters more than its time
    tables=("per_layer_embed",),
    ignore=OTHER_SENSES,
    unused=unused,
    constants=rope_freqs,
)
