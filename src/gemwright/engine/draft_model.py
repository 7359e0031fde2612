"""Guesses of a smaller model of the same vocabulary, always its most likely token.

Source of the idea: arXiv:2211.17192. Ours accepts a guess only if it is the token that would have been drawn anyway,
so that the answer is the one without guesses; theirs keeps only its distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gemwright.cache import pages_for
from gemwright.engine.pace import Pace
from gemwright.engine.request import Network
from gemwright.ops import PAGE_TOKENS
from gemwright.step import Step

_STEP_TOKENS = 512


@dataclass(frozen=True)
class DraftModel:
    """network: the smaller model's (`Model.network`). tokens: the most guesses of one step."""

    network: Network
    tokens: int = 8

    def drafter(self, room: int) -> ModelDrafter:
        """A drafter for one text, with a cache of its own that lives as long as the request."""
        return ModelDrafter(self.network, room, self.tokens)


class ModelDrafter:
    """Keeps the smaller model's cache in step with the text: wrong guesses are forgotten, what came is caught up."""

    def __init__(self, network: Network, room: int, most: int) -> None:
        self._network = network
        self._room = min(room, network.config.context_tokens)
        capacity_tokens = pages_for(self._room) * PAGE_TOKENS
        self._cache: Any = network.new_cache(
            capacity_tokens=capacity_tokens, max_step_tokens=_STEP_TOKENS, max_sequences=1
        )
        self._slot = self._cache.open(self._room)
        self._cached: list[int] = []
        self._pace = Pace(most)

    def propose(self, tokens: Sequence[int], limit: int) -> Sequence[int]:
        """The most likely continuation; nothing if the text is too long or has tokens the smaller model lacks."""
        self._pace.learn(tokens)
        length = min(self._pace.length, limit, self._room - len(tokens))
        if length < 1 or max(tokens) >= self._network.config.vocabulary:
            return ()
        self._forget(tokens)
        draft: list[int] = []
        while len(draft) < length:
            draft.append(self._next([*tokens, *draft]))
        self._pace.drafted(draft)
        return draft

    def _forget(self, tokens: Sequence[int]) -> None:
        """Leave in the cache what `tokens` begin with, less the last of them: its hidden state is needed."""
        same = 0
        while same < min(len(self._cached), len(tokens) - 1) and self._cached[same] == tokens[same]:
            same += 1
        # A window's ring has overwritten what lies further back than a step's tokens before its end.
        del self._cached[same if len(self._cached) - same <= _STEP_TOKENS else 0 :]

    def _next(self, tokens: Sequence[int]) -> int:
        """The most likely token after `tokens`."""
        while len(self._cached) < len(tokens):
            start = len(self._cached)
            part = np.array(tokens[start : start + _STEP_TOKENS], np.int32)
            positions = np.arange(start, start + len(part), dtype=np.int32)
            step = Step(part, positions, np.full_like(part, self._slot))
            hidden = self._network.forward(step, self._cache, [len(part) - 1])
            self._cached += part.tolist()
        return int(self._network.candidates(hidden, 1, self._network.config.vocabulary)[0][0, 0])
