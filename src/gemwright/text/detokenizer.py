"""Tokens to text as they come: whole characters only, and stop strings never seen."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from gemwright.text.decoding import EACH_BYTE
from gemwright.text.tokenizer import Tokenizer


class Detokenizer:
    """Text of a growing sequence of tokens.

    The deltas of `feed` and `finish` joined are `Tokenizer.decode` of all tokens, cut before the first stop string to
    be complete (among those that end at the same place: the longest). Held back is what is still part of a character,
    and the longest end of the text that could yet become a stop string; nothing else. No stop string reaches across a
    control token: what stands before one is certain when it comes.
    """

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str] = ()) -> None:
        """stop: none empty."""
        self._token_bytes = tokenizer.token_bytes
        self._stop = tuple(stop)
        self._longest = max(map(len, self._stop), default=0)
        self._decoder = codecs.getincrementaldecoder("utf-8")(EACH_BYTE)
        self._held = ""
        self.stopped = False
        """Whether a stop string was completed; from then on there is no more text."""

    def feed(self, id: int) -> str:
        """The text that is certain now that token `id` has come; often "". Raises UsageError for an unknown id."""
        data = self._token_bytes(id)
        if not data:
            text, self._held = self._held, ""
            return text
        return self._release(self._decoder.decode(data))

    def finish(self) -> str:
        """The rest, when no more tokens come: what was held back, a broken character as U+FFFD."""
        text = self._release(self._decoder.decode(b"", final=True))
        rest, self._held = self._held, ""
        return text + rest

    def _release(self, new: str) -> str:
        if self.stopped:
            return ""
        text = self._held + new
        found = [(at + len(stop), at) for stop in self._stop if (at := text.find(stop)) >= 0]
        if found:
            self.stopped = True
            self._held = ""
            return text[: min(found)[1]]
        certain = len(text) - self._hold(text)
        self._held = text[certain:]
        return text[:certain]

    def _hold(self, text: str) -> int:
        """Characters at the end of `text` that could be the beginning of a stop string."""
        begun = self._decoder.getstate()[0]  # bytes of the next character
        for count in range(min(len(text), self._longest - 1), 0, -1):
            end = text[-count:]
            if any(stop.startswith(end) and _may_follow(begun, stop[count : count + 1]) for stop in self._stop):
                return count
        return 0


def _may_follow(begun: bytes, wanted: str) -> bool:
    """Whether a character whose first bytes are `begun` may turn out to be `wanted`; "" is no character."""
    return wanted != "" and (wanted == "\ufffd" or wanted.encode("utf-8", "surrogatepass").startswith(begun))
