"""Guesses from the text itself: what followed the last time these tokens stood there.

Answers that quote their prompt (summaries, edited code, extracted data) or repeat themselves are full of such places.
Source of the idea: "prompt lookup decoding", and LLMA, arXiv:2304.04487.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gemwright.engine.pace import Pace
from gemwright.errors import UsageError

MOST_GUESSES = 64
_PLACES = 8
"""So many of the latest places where the n-gram stands are compared."""
_COMPARED = 32
"""So many tokens before the place are compared; of places alike in all of them the latest wins."""


@dataclass(frozen=True)
class Lookup:
    """tokens: the most guesses of one step. ngram: so many last tokens must have stood together before."""

    tokens: int = 16
    ngram: int = 3

    def __post_init__(self) -> None:
        for name, value, most in (("tokens", self.tokens, MOST_GUESSES), ("ngram", self.ngram, _COMPARED)):
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise UsageError(f"{name} of a lookup is {value!r}: it must be a whole number from 1 to {most}.")

    def drafter(self, room: int) -> LookupDrafter:
        """A drafter for one text."""
        return LookupDrafter(self)


class LookupDrafter:
    """Remembers where every n-gram of its text stands."""

    def __init__(self, lookup: Lookup) -> None:
        self._ngram = lookup.ngram
        self._pace = Pace(lookup.tokens)
        self._ends: dict[tuple[int, ...], list[int]] = {}
        self._indexed = 0

    def propose(self, tokens: Sequence[int], limit: int) -> Sequence[int]:
        """The continuation of the place that is most alike; nothing if there is none or guessing does not pay."""
        self._pace.learn(tokens)
        self._index(tokens)
        length = min(self._pace.length, limit)
        place = self._place(tokens) if length > 0 else 0
        if not place:
            return ()
        draft: list[int] = []
        while len(draft) < length:  # a place close to the end repeats: the draft is then read as part of the text
            at = place + len(draft)
            draft.append(tokens[at] if at < len(tokens) else draft[at - len(tokens)])
        self._pace.drafted(draft)
        return draft

    def _index(self, tokens: Sequence[int]) -> None:
        """All n-grams but the one at the very end, each by the position after it."""
        for end in range(max(self._indexed + 1, self._ngram), len(tokens)):
            ends = self._ends.setdefault(tuple(tokens[end - self._ngram : end]), [])
            if not ends or ends[-1] < end:  # an interrupted call is repeated
                ends.append(end)
            self._indexed = end

    def _place(self, tokens: Sequence[int]) -> int:
        """Where what followed begins; 0 if the last tokens never stood before."""
        ends = self._ends.get(tuple(tokens[-self._ngram :]), [])[-_PLACES:]
        return max(ends, key=lambda end: (_alike(tokens, end), end), default=0)


def _alike(tokens: Sequence[int], end: int) -> int:
    """How many tokens before `end` equal those before the end of the text."""
    count = 0
    while count < min(_COMPARED, end) and tokens[end - 1 - count] == tokens[-1 - count]:
        count += 1
    return count
