"""How many tokens to guess: as many as pay.

A wrong guess costs a fraction of a token's time (it rides along in a step that reads all weights anyway), a right one
saves a whole token's. So guesses are paid from an allowance. Each token of text earns a tenth of a guess, which bounds
what a text without repetition can lose; each right guess earns four, so that guessing goes on while one in four is
right. Independently of that the length follows the last success: doubled after a draft that was right throughout, one
more than was right after any other.
"""

from __future__ import annotations

from collections.abc import Sequence

_EARNED_BY_A_TOKEN = 0.1
_EARNED_BY_A_RIGHT_GUESS = 4.0
_FIRST_ALLOWANCE = 4.0
_FIRST_LENGTH = 4


class Pace:
    """The length of the next draft of one text, at most `most` tokens."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._allowance = _FIRST_ALLOWANCE
        self._length = _FIRST_LENGTH
        self._known = 0
        self._draft: Sequence[int] = ()

    def learn(self, tokens: Sequence[int]) -> None:
        """Compare the last draft with what came. tokens: the text now, longer than it was."""
        came = tokens[self._known :] if self._known else tokens[-1:]
        right = 0
        while right < min(len(self._draft), len(came)) and self._draft[right] == came[right]:
            right += 1
        if self._draft and right < len(came):  # else the draft was cut short, and nothing is known of the rest
            self._length = right + 1
        elif right == len(self._draft) and right:
            self._length = 2 * right
        earned = _EARNED_BY_A_TOKEN * len(came) + _EARNED_BY_A_RIGHT_GUESS * right
        self._allowance = min(self._allowance + earned, 4.0 * self._most)
        self._known, self._draft = len(tokens), ()

    @property
    def length(self) -> int:
        """How many tokens to guess now; 0 if it would not pay."""
        return min(self._length, self._most, int(self._allowance))

    def drafted(self, draft: Sequence[int]) -> None:
        """These are guessed now."""
        self._draft = draft
        self._allowance -= len(draft)
