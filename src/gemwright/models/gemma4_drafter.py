"""The drafters of Gemma 4 ("assistant" checkpoints): a few layers that guess what the large model will say.

A drafter has no keys and values. Its layers look into those the large model, its target, has of the text: local layers
into the target's last local ones, global layers into the last global ones. It begins with the target's hidden state of
the token before the last, and hands a state of its own on from guess to guess.

Source: `Gemma4AssistantForCausalLM` and `SinglePositionMultiTokenCandidateGenerator` of transformers 5.24; llama.cpp's
gemma4-assistant (build 11434) for names in GGUF. Not read: the clustered head of the E sizes' drafters
(`masked_embedding`), which finds nearly the likeliest token in less time; the whole head finds the likeliest. Local
layers see what the target's last token sees; transformers adds the key before, which our cache need not have any more.
Axes: D hidden width of the target, d of the drafter, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

import numpy as np

from gemwright import ops
from gemwright.cache import KVCache
from gemwright.errors import UnsupportedModel, UsageError
from gemwright.models.architecture import check_constants
from gemwright.models.gemma4 import Gemma4, weights
from gemwright.models.gemma4_config import Config
from gemwright.models.gemma4_gguf import rope_freqs
from gemwright.models.gemma4_layer import Layer, rope_table
from gemwright.models.reading import integer, text_config
from gemwright.models.weights import Loader, Precision
from gemwright.step import F32, Step
from gemwright.store import Store
from gemwright.weights import Checkpoint, Weight, require_architecture

NAMES = ("gemma4-assistant", "gemma4_assistant", "gemma4_unified_assistant")
"""What such checkpoints call themselves."""

CLUSTERED_HEAD = "masked_embedding."


@dataclass(frozen=True)
class DrafterConfig:
    """own: of the drafter's layers, none of which owns keys. target_hidden: D."""

    own: Config
    target_hidden: int

    def __post_init__(self) -> None:
        if self.own.per_layer_width or self.own.experts:
            raise UnsupportedModel("A drafter with per-layer embeddings or experts is none that Gemma 4 has.")

    @classmethod
    def from_gguf(cls, meta: Mapping[str, Any]) -> DrafterConfig:
        """From GGUF metadata. Raises as `Config.from_gguf`."""
        prefix, shared = "gemma4-assistant.", "gemma4.attention.shared_kv_layers"
        renamed = {key.replace(prefix, "gemma4.", 1): value for key, value in meta.items()}
        own = Config.from_gguf({**renamed, shared: 0})
        return cls(replace(own, owners=0), integer(meta, prefix + "embedding_length_out"))

    @classmethod
    def from_hf(cls, config: Mapping[str, Any]) -> DrafterConfig:
        """From config.json. Raises as `Config.from_hf`."""
        own = Config.from_hf({**config, "text_config": {**text_config(config), "num_kv_shared_layers": 0}})
        return cls(replace(own, owners=0), integer(config, "backbone_hidden_size", 1536))


def drafter_weights(c: DrafterConfig) -> tuple[Weight, ...]:
    """Every tensor of a drafter."""
    pre, post = (c.own.hidden, 2 * c.target_hidden), (c.target_hidden, c.own.hidden)
    return (
        *weights(c.own),
        Weight("pre", "nextn.pre_projection.weight", "pre_projection.weight", pre),
        Weight("post", "nextn.post_projection.weight", "post_projection.weight", post),
    )


def load_drafter(checkpoint: Checkpoint, precision: Precision, store: Store | None = None) -> Gemma4Drafter:
    """The drafter of a checkpoint. Raises what `Architecture.build` raises."""
    require_architecture(checkpoint, NAMES)
    is_gguf = checkpoint.kind == "gguf"
    config = (DrafterConfig.from_gguf if is_gguf else DrafterConfig.from_hf)(checkpoint.config)
    constants = rope_freqs(config.own)
    if is_gguf:
        check_constants(checkpoint, constants)
    load = Loader(
        checkpoint,
        drafter_weights(config),
        precision=precision,
        wide=("embed",),
        heads={"embed": "final_norm"},
        ignore=(*constants, CLUSTERED_HEAD),
        store=store,
    )
    return Gemma4Drafter(config, load)


class Gemma4Drafter:
    """The network. It computes one token of one text at a time, and keeps nothing."""

    def __init__(self, config: DrafterConfig, load: Loader) -> None:
        self.config = config
        self.embed = load.matrix("embed")
        self.final_norm = load.vector("final_norm")
        self.pre, self.post = load.matrix("pre"), load.matrix("post")
        self.layers = [Layer.load(load, i, config.own) for i in range(config.own.layers)]

    def check_target(self, target: object) -> Gemma4:
        """`target`, if this drafter was made for a model of its shape. Raises UsageError if not."""
        if isinstance(target, Gemma4):
            ours, its = self.config, target.config
            shapes = [(c.nearby, c.everywhere, max(c.windows), c.vocabulary) for c in (ours.own, its)]
            if _without_projections(shapes[0]) == _without_projections(shapes[1]) and ours.target_hidden == its.hidden:
                return target
        raise UsageError("The drafter belongs to another model.", hint="It guesses for the model it was trained with.")

    def draft(
        self, token: int, hidden: F32, target: Gemma4, cache: KVCache, slot: int, position: int
    ) -> tuple[F32, F32]:
        """The drafter's final state for the token after `token`, [1, d], and the next `hidden`, [1, D].

        hidden: the target's, after its final norm, of the token before the text's last one, or what the guess before
        gave. cache, slot: where the target keeps the text up to there. position: of the text's last token, ≥ 1; that of
        further guesses is the same, since it is where all keys they see end.
        """
        c, one = self.config.own, np.ones(1, np.int32)
        embedding = ops.embed(target.embed, one * token, sqrt(target.config.hidden))
        (x,) = ops.linear(np.concatenate([embedding, hidden], axis=1), self.pre)
        seen = Step(one * token, one * (position - 1), one * slot)  # the last key there is
        for i, w in enumerate(self.layers):
            q, _ = w.project(x, rope_table(one * position, c.attention(i)))
            x = w.finish(x, q, cache.layer(target.config.last_owner(c.windows[i])), seen, None)
        normed = ops.rms_norm(x, self.final_norm, c.eps)
        return normed, ops.linear(normed, self.post)[0]

    def logits(self, state: F32) -> F32:
        """Scores of every token of the vocabulary: float32[n, V]. state: float32[n, d]."""
        return ops.linear(state, self.embed)[0]

    def likeliest(self, state: F32) -> int:
        """The token of the largest of `logits`; −1 where one is no number. state: float32[1, d]."""
        if not self.embed.is_split:
            return ops.argmax(self.logits(state)[0])
        ids, values = ops.largest(state, self.embed, 1, self.config.own.vocabulary)
        return int(ids[0, 0]) if np.isfinite(values[0, 0]) else -1


def _without_projections(shape: tuple[Any, ...]) -> tuple[Any, ...]:
    """Which matrices make keys and values is the target's own business."""
    nearby, everywhere, *others = shape
    return nearby._replace(projected=()), everywhere._replace(projected=()), *others
