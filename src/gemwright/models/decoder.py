"""What every Gemma decoder has around its layers: an embedding that is the output head too, a cache, a price."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from gemwright import ops
from gemwright.cache import KVCache, LayerShape
from gemwright.models.weights import Loader
from gemwright.step import F32, I32, Cost, Step

_SPARE = 8  # candidates fetched beyond those asked for, to see that soft-capping left no tie at the edge


class Config(Protocol):
    """What `Decoder` needs to know of a model."""

    @property
    def vocabulary(self) -> int: ...
    @property
    def hidden(self) -> int: ...
    @property
    def context_tokens(self) -> int: ...


class Decoder(ABC):
    """A network of the engine. A generation adds its layers and `forward`.

    final_softcap: c > 0 makes each logit l into c · tanh(l / c); arXiv:2408.00118.
    """

    final_softcap = 0.0

    def __init__(self, config: Config, load: Loader) -> None:
        self._config = config
        self.kv_format = ops.KVFormat.F32 if load.precision == "exact" else ops.KVFormat.F16
        """How caches made from now on keep keys and values."""
        self.embed = load.matrix("embed")
        self.final_norm = load.vector("final_norm")

    @property
    def config(self) -> Config:
        return self._config

    @abstractmethod
    def cache_layers(self) -> Sequence[LayerShape]:
        """The layers that keep keys and values of their own, in the order `forward` numbers them."""

    @abstractmethod
    def attended_layers(self) -> Sequence[LayerShape]:
        """What each layer reads of a cache, its own or another's."""

    @abstractmethod
    def matrices(self) -> Sequence[ops.Matrix]:
        """Every matrix that a token is multiplied by, but the head; a matrix only some tokens use counts by its share
        in `cost`."""

    @abstractmethod
    def forward(self, step: Step, cache: KVCache, rows: Sequence[int] | None = None) -> F32:
        """Hidden states after the final norm: float32[T, D], or [len(rows), D] of those tokens of the step alone."""

    def new_cache(self, *, capacity_tokens: int, max_step_tokens: int, max_sequences: int) -> KVCache:
        """An empty cache of this model's shape."""
        return KVCache(
            self.cache_layers(),
            capacity_tokens=capacity_tokens,
            max_step_tokens=max_step_tokens,
            max_sequences=max_sequences,
            format=self.kv_format,
        )

    def logits(self, hidden: F32) -> F32:
        """Scores of every token of the vocabulary: float32[n, V]. hidden: float32[n, D]. The head is the embedding."""
        logits = ops.linear(hidden, self.embed)[0]
        return ops.softcap(logits, self.final_softcap) if self.final_softcap else logits

    def candidates(self, hidden: F32, k: int, below: int) -> tuple[I32, F32]:
        """The k largest of each row of `logits`, of ids < below only: (int32[n, k], float32[n, k]), largest first.

        Of equal ones the lowest id first. A row with a NaN or an infinity gives NaN.
        """
        if not self.embed.is_split:
            return self._by_sorting(hidden, k, below)
        if not self.final_softcap:
            return ops.largest(hidden, self.embed, k, below)
        return self._capped_largest(hidden, k, below)

    def _capped_largest(self, hidden: F32, k: int, below: int) -> tuple[I32, F32]:
        """Capping keeps the order, but may round two different logits to one: equal ones are sorted anew by id, and a
        row whose last candidate may be equal to one not fetched is computed whole."""
        fetched = min(k + _SPARE, below)
        ids, values = ops.largest(hidden, self.embed, fetched, below)
        values = ops.softcap(values, self.final_softcap)
        order = np.lexsort((ids, -values), axis=-1)[:, :k]
        found, best = np.take_along_axis(ids, order, axis=1), np.take_along_axis(values, order, axis=1)
        for row in np.flatnonzero(best[:, -1] == values[:, -1]) if fetched < below else ():
            found[row], best[row] = (part[0] for part in self._by_sorting(hidden[row : row + 1], k, below))
        return found, best

    def _by_sorting(self, hidden: F32, k: int, below: int) -> tuple[I32, F32]:
        ids, values = np.zeros((len(hidden), k), np.int32), np.full((len(hidden), k), np.nan, np.float32)
        for i, row in enumerate(self.logits(hidden)[:, :below]):
            if np.isfinite(row).all():
                ids[i], values[i] = ops.top_k(row, k)
        return ids, values

    def cost(self, depth: int) -> Cost:
        """What the token after `depth` others takes: every matrix once, the embedding as the head."""
        matrices = self.matrices()
        cache = 0
        for layer in self.attended_layers():
            keys = min(depth + 1, layer.window) if layer.window else depth + 1
            cache += keys * layer.kv_heads * sum(ops.page_bytes(self.kv_format, layer.head_dim)) // ops.PAGE_TOKENS
        return Cost(
            weight_bytes=self.embed.scanned_bytes + sum(matrix.nbytes for matrix in matrices),
            cache_bytes=cache,
            layer_multiplications=sum(matrix.rows * matrix.cols for matrix in matrices),
            head_multiplications=self.embed.rows * self.embed.cols,
        )
