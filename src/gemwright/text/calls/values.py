"""Values as models write them: JSON, Gemma's own quotes, Python's literals, bare words, and mixtures of these.

A small reader of its own that only ever builds strings, numbers, lists and dictionaries: nothing is evaluated. It is
lenient where there is one thing a text can mean, and refuses where it would have to guess. Time is linear in the text.
"""

from __future__ import annotations

import math
import re
from typing import Any

from gemwright.dialogue import MAX_DEPTH

QUOTE = "\ud800"
"""Stands for the control token that is a quote (`<|"|>`, `<escape>`). No decoded text holds a lone surrogate."""

_SPACE = re.compile(r"\s*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_BARE_KEY = re.compile(rf"[^\s,:={{}}\[\]()\"'{QUOTE}]+")
_BARE_VALUE = re.compile(rf"[^,{{}}\[\]()\"'{QUOTE}\n]+")
_PLAIN = {'"': re.compile(r'[^"\\]*'), "'": re.compile(r"[^'\\]*")}
_WORDS = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}
_ESCAPES = {
    "n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "/": "/", "\\": "\\", '"': '"', "'": "'", "\n": "",
}  # fmt: skip
_HEX = {"u": 4, "x": 2}
_MOST_DIGITS = 400


class UnreadableError(Exception):
    """Why a text is no value or no call, as a sentence."""


class Scanner:
    """Reads `text` from its beginning. `at` is how far it has come. Methods raise UnreadableError where they must."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def skip(self) -> None:
        """Over white space."""
        self.at = _end(_SPACE, self.text, self.at)

    def peek(self) -> str:
        """The next character, "" at the end."""
        return self.text[self.at : self.at + 1]

    def take(self, literal: str) -> bool:
        """Go over `literal` if it comes next."""
        if self.text.startswith(literal, self.at):
            self.at += len(literal)
            return True
        return False

    def match(self, pattern: re.Pattern[str]) -> str:
        """What `pattern` matches next, which may be nothing."""
        found = pattern.match(self.text, self.at)
        if found is None:
            return ""
        self.at = found.end()
        return found.group()

    def value(self, depth: int = 1) -> Any:
        """One value and the white space before it."""
        self.skip()
        first = self.peek()
        if first in (QUOTE, '"', "'"):
            return self.string()
        if first in ("{", "["):
            if depth >= MAX_DEPTH:
                raise UnreadableError(f"Lists and objects lie more than {MAX_DEPTH} deep.")
            return self.pairs("}", depth)[0] if first == "{" else self._list(depth)
        return self._bare()

    def pairs(self, close: str, depth: int = 1, *, positional: bool = False) -> tuple[dict[str, Any], list[Any]]:
        """What lies in brackets, from the opening one to `close`: keys with values, and values without keys.

        Keys are quoted or bare, and end with ":" or "=". A comma may be missing after a quoted value or a bracket.
        """
        self.at += 1
        named: dict[str, Any] = {}
        unnamed: list[Any] = []
        while True:
            self.skip()
            if self.take(close):
                return named, unnamed
            key = self._key()
            if key is None and not positional:
                raise UnreadableError("A key is not followed by a value." if self.peek() else "The end is missing.")
            value = self.value(depth + 1)
            if key is None:
                unnamed.append(value)
            elif key in named:
                raise UnreadableError(f"{key!r:.80} is given twice.")
            else:
                named[key] = value
            self._comma(close)

    def string(self) -> str:
        """A string in any of the quotes."""
        if self.take(QUOTE):
            end = self.text.find(QUOTE, self.at)
            if end < 0:
                raise UnreadableError("A string does not end.")
            text, self.at = self.text[self.at : end], end + 1
            return text
        quote = self.peek()
        text = self._triple(quote * 3) if self.text.startswith(quote * 3, self.at) else self._escaped(quote)
        self.take(QUOTE)  # models close a string twice
        return text

    def _key(self) -> str | None:
        """The key that comes next with its colon; None, and nothing read, if what comes is no key."""
        before = self.at
        key = self.string() if self.peek() in (QUOTE, '"', "'") else self.match(_BARE_KEY)
        self.skip()
        if key and (self.take(":") or self.take("=")):
            return key
        self.at = before
        return None

    def _comma(self, close: str) -> None:
        ended_by = self.text[self.at - 1]
        self.skip()
        if self.take(",") or self.text.startswith(close, self.at):
            return
        if not self.peek():
            raise UnreadableError("The end is missing.")
        if ended_by not in (QUOTE, '"', "'", "}", "]"):
            raise UnreadableError(f"There is {self.peek()!r} where a comma was due.")

    def _list(self, depth: int) -> list[Any]:
        self.at += 1
        items: list[Any] = []
        while True:
            self.skip()
            if self.take("]"):
                return items
            items.append(self.value(depth + 1))
            self._comma("]")

    def _bare(self) -> Any:
        """A number, true, false, null, or words without quotes up to the next comma or bracket."""
        word = self.match(_BARE_VALUE).strip()
        if not word:
            raise UnreadableError("A value is missing." if self.peek() else "The end is missing.")
        if self.peek() in ("(", "{", "[", '"', "'", QUOTE):
            raise UnreadableError(f"{word!r:.80} is neither a value nor a key.")
        return _WORDS[word] if word in _WORDS else _number(word)

    def _escaped(self, quote: str) -> str:
        self.at += 1
        parts: list[str] = []
        while True:
            parts.append(self.match(_PLAIN[quote]))
            if self.take(quote):
                return _unpaired("".join(parts))
            self.at += 1  # over the backslash
            letter = self.peek()
            if not letter:
                raise UnreadableError("A string does not end.")
            self.at += 1
            if letter in _HEX:
                parts.append(self._code(_HEX[letter]))
            elif letter in _ESCAPES:
                parts.append(_ESCAPES[letter])
            else:
                parts.append("\\" + letter)  # as Python has it: a path, a pattern

    def _code(self, digits: int) -> str:
        code = self.text[self.at : self.at + digits]
        if not re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", code):
            raise UnreadableError("A string holds a broken escape.")
        self.at += digits
        return chr(int(code, 16))

    def _triple(self, quotes: str) -> str:
        start = self.at + 3
        end = self.text.find(quotes, start)
        if end < 0:
            if self.text.startswith(quotes[:2], self.at):  # an empty string, and then something else
                self.at += 2
                return ""
            raise UnreadableError("A string does not end.")
        self.at = end + 3
        return self.text[start:end]


def _number(word: str) -> Any:
    """An int or a float if the word is a JSON number, otherwise the word."""
    found = _NUMBER.fullmatch(word)
    if found is None:
        return word
    if len(word) > _MOST_DIGITS:
        raise UnreadableError(f"A number has {len(word)} characters.")
    if found.group(1) is None and found.group(2) is None:
        return int(word)
    number = float(word)
    if not math.isfinite(number):
        raise UnreadableError(f"{word} is beyond what a number can be.")
    return number


def _unpaired(text: str) -> str:
    r"""Escapes \ud83d\ude42 as the character they mean together. Half of a character alone is refused."""
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        raise UnreadableError("A string holds half of a character.") from error


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return at if found is None else found.end()
