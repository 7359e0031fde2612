"""When an answer is one no longer: it repeats itself without end, or consists of reserved tokens.

Why these numbers, and what they leave alone: docs/decisions/degeneration.md.
"""

from __future__ import annotations

from collections.abc import Container

LOOP_TOKENS = 1024
"""So many tokens in a row, each the same as the one a block before, make a loop …"""
LOOP_REPEATS = 4
"""… if that is the block at least so many times again."""
LONGEST_BLOCK = 512
"""Tokens of the longest block that is looked for."""
RESERVED_TOKENS = 8
"""So many reserved tokens in a row make a storm."""

_GRAM = 4
_RING = LONGEST_BLOCK + _GRAM


class Guard:
    """Watches the tokens of one answer. Constant time a token and constant memory; a function of the tokens alone.

    A block is found when four tokens in a row come again after at most LONGEST_BLOCK; from then on each token is
    compared with the one a block before. Another block is looked for only when that fails, so a loop that begins while
    another one ends is seen at most LOOP_TOKENS late.
    """

    def __init__(self, reserved: Container[int]) -> None:
        """reserved: tokens that no answer has a use for."""
        self._reserved = reserved
        self._storm = 0
        self._ring = [-1] * _RING  # the last tokens; token number i is at i % _RING
        self._count = 0
        self._latest: dict[tuple[int, ...], int] = {}  # four tokens in a row: the number of their last one
        self._block = 0
        self._matched = 0

    def degenerate(self, token: int) -> bool:
        """Whether the answer is, now that `token` has come."""
        self._storm = self._storm + 1 if token in self._reserved else 0
        return self._repeats(token) or self._storm >= RESERVED_TOKENS

    def _repeats(self, token: int) -> bool:
        number = self._count
        goes_on = self._block > 0 and self._at(number - self._block) == token
        self._forget(number - _RING)
        self._ring[number % _RING] = token
        self._count += 1
        gram = tuple(self._at(number - back) for back in range(_GRAM))
        if goes_on:
            self._matched += 1
        else:
            before = self._latest.get(gram) if number >= _GRAM else None
            found = before is not None and number - before <= LONGEST_BLOCK
            self._block = number - before if found and before is not None else 0
            self._matched = _GRAM if found else 0
        self._latest[gram] = number
        return self._matched >= max(LOOP_TOKENS, LOOP_REPEATS * self._block)

    def _at(self, number: int) -> int:
        return self._ring[number % _RING]

    def _forget(self, number: int) -> None:
        """Four tokens that lie too far back to begin a block, before the ring loses the first of them."""
        last = number + _GRAM - 1
        if number >= 0:
            gram = tuple(self._at(last - back) for back in range(_GRAM))
            if self._latest.get(gram) == last:
                del self._latest[gram]
