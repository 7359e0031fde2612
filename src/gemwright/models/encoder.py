"""What every embedding model has around its layers: whole texts in, one vector for each out.

A token sees what follows it too, so a text is computed in one step, however long it is, and nothing of it is kept.
Axes: T tokens of all texts of a step, n texts, D hidden width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Protocol

import numpy as np

from gemwright import ops
from gemwright.cache import KVCache, LayerShape, pages_for
from gemwright.models.weights import Loader
from gemwright.step import F32, I32, Step


class Config(Protocol):
    """What `Encoder` needs to know of a model. context_tokens: of the longest text. dimensions: of a vector."""

    @property
    def vocabulary(self) -> int: ...
    @property
    def hidden(self) -> int: ...
    @property
    def context_tokens(self) -> int: ...
    @property
    def dimensions(self) -> int: ...


@dataclass(frozen=True, eq=False)
class Batch:
    """Whole texts side by side.

    step: their tokens. last: int32[T], the last position of each token's text. lengths: tokens of each text.
    layers: by shape, where keys and values of a layer go. The next layer of that shape takes the same place, because
    no later step reads them.
    """

    step: Step
    last: I32
    lengths: tuple[int, ...]
    layers: dict[LayerShape, ops.PagedLayer]

    def reach(self, window: int) -> I32:
        """The last position each token sees: int32[T]. window: as many keys before it, itself included; 0 for all."""
        return self.last if window == 0 else np.minimum(self.step.positions + np.int32(window - 1), self.last)


class Encoder(ABC):
    """A network that makes a vector of a text. A generation adds its layers and what follows the mean of the tokens."""

    def __init__(self, config: Config, load: Loader) -> None:
        self._config = config
        self.kv_format = ops.KVFormat.F32
        """How keys and values are held while a layer is computed; they are few, so float costs nothing."""
        self.embed = load.table("embed")
        self.final_norm = load.vector("final_norm")

    @property
    def config(self) -> Config:
        return self._config

    @abstractmethod
    def shapes(self) -> Sequence[LayerShape]:
        """Of every layer."""

    @abstractmethod
    def passes(self, batch: Batch) -> Iterator[tuple[F32, F32]]:
        """After each layer the residual stream and its norm for what follows, at the end the final one: [T, D] each."""

    @abstractmethod
    def project(self, means: F32) -> F32:
        """The vectors of texts, not yet of length 1: float32[n, dimensions]. means: float32[n, D], see `pooled`."""

    def vectors(self, texts: Sequence[Sequence[int]]) -> F32:
        """`project` of the mean of each text's states: float32[n, dimensions]. A text is one token at least."""
        batch = self.batch(texts)
        return self.project(pooled(self.states(batch), batch.lengths))

    def states(self, batch: Batch) -> F32:
        """Hidden states after the final norm: float32[T, D]."""
        for _, normed in self.passes(batch):  # noqa: B007  (the last one counts)
            pass
        return normed

    def batch(self, texts: Sequence[Sequence[int]]) -> Batch:
        """The texts, given as token ids, and room to compute them in."""
        lengths = tuple(len(text) for text in texts)
        kinds = list(dict.fromkeys(self.shapes()))
        cache = KVCache(
            kinds,
            capacity_tokens=sum(map(pages_for, lengths)) * ops.PAGE_TOKENS,
            max_step_tokens=max(lengths),
            max_sequences=len(texts),
            format=self.kv_format,
        )
        slots = [cache.open(length) for length in lengths]
        step = Step(
            tokens=np.concatenate([np.asarray(text, np.int32) for text in texts]),
            positions=np.concatenate([np.arange(length, dtype=np.int32) for length in lengths]),
            slots=np.repeat(np.array(slots, np.int32), lengths),
        )
        last = np.repeat(np.array(lengths, np.int32) - np.int32(1), lengths)
        return Batch(step, last, lengths, {kind: cache.layer(i) for i, kind in enumerate(kinds)})

    def embedded(self, tokens: I32) -> F32:
        """Rows of the embedding times sqrt(D): float32[T, D]; docs/decisions/embedding-scale.md."""
        x: F32 = self.embed.rows(tokens) * np.float32(sqrt(self._config.hidden))
        return x


def pooled(states: F32, lengths: Sequence[int]) -> F32:
    """The mean of each text's rows: float32[n, D], the texts one after the other in float32[T, D].

    Rows are added one by one in float64, so that a text's mean does not depend on what else is there.
    """
    means = np.empty((len(lengths), states.shape[1]), np.float32)
    start = 0
    for i, length in enumerate(lengths):
        total = np.zeros(states.shape[1], np.float64)
        for row in states[start : start + length]:
            total += row
        means[i] = total / length
        start += length
    return means


def unit(x: F32) -> F32:
    """Each row divided by its length: float32[n, m]. A row of zeros has no direction and gives NaN."""
    with np.errstate(invalid="ignore", divide="ignore"):
        y: F32 = x / np.sqrt(ops.mean_square(x) * np.float32(x.shape[1]))[:, None]
        return y
