"""Speculation for tests: guesses that are right as often as a test wants."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Guessing:
    """Knows the whole text and says `wrong` (a share) of it wrongly, always `tokens` at a time, even beyond its end."""

    text: tuple[int, ...]
    wrong: float = 0.0
    tokens: int = 5
    seed: int = 0

    def drafter(self, room: int) -> _Drafter:
        return _Drafter(self, random.Random(self.seed))


class _Drafter:
    def __init__(self, guessing: Guessing, rng: random.Random) -> None:
        self._guessing, self._rng = guessing, rng

    def propose(self, tokens: Sequence[int], limit: int) -> Sequence[int]:
        known = self._guessing
        assert list(tokens) == list(known.text[: len(tokens)])
        rest = [*known.text[len(tokens) :], *range(known.tokens)][: min(known.tokens, limit)]
        return [token if self._rng.random() >= known.wrong else (token + 1) % 64 for token in rest]
