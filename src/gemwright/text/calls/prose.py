"""Calls in the text of an answer, for models that have no marks for them or forget them. Only looked for with tools.

Looked at as calls: blocks ```tool_code and ```tool_call; blocks ```json, ```python and plain ones, if all that is in
them is calls of declared tools; and, where nothing but white space or calls came before, bare JSON, a list of calls,
`name(` and `call:name{` with a declared name. Text that may become a call is held back until it is clear what it is.
What was meant as a call (a block that says so, JSON that names a tool) and cannot be read is a BadCall; all else is
text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from gemwright.dialogue import BadCall, Piece, Text, Tool
from gemwright.text.calls.reading import NoCallError, read_calls
from gemwright.text.calls.values import UnreadableError

_SURELY = ("tool_code", "tool_call", "tool_calls", "function_call")
_MAYBE = ("json", "python", "py", "")
_LONGEST_LANGUAGE = 32
_FENCE = re.compile(r"^[ \t]*```", re.MULTILINE)
_MAYBE_FENCE = re.compile(r"(?:^|\n)([ \t]*`{0,2})\Z")
_BLANKS = 8
"""At most so many between a name and its bracket."""
_BEGINNING = 256
"""Characters of a block that tell whether it may be calls."""
_OPEN, _CLOSE = "{[(", "}])"


class Prose:
    """Reads text piece by piece; what `feed` and `flush` give is the same however the text was cut into pieces."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._tools = tuple(tools)
        names = "|".join(re.escape(tool.name) for tool in sorted(tools, key=lambda tool: -len(tool.name)))
        self._head = re.compile(rf"(?:call:[ \t]{{0,{_BLANKS}}})?(?:{names})[ \t]{{0,{_BLANKS}}}[({{]")
        self._named = re.compile(rf"(?<![A-Za-z0-9_])(?:{names})(?![A-Za-z0-9_])")
        self._held = ""
        self._mode = self._text
        self._fresh = bool(tools)
        """Whether nothing but white space and calls has come."""
        self._called = False
        self._line_begins = True
        """Whether what is held begins a line."""
        self._in_code = False
        self._language = ""
        self._body_at = self._seen = 0
        self._brackets = _Brackets(0)

    def feed(self, text: str) -> list[Piece]:
        """The pieces that are certain now."""
        self._held += text
        return self._run(last=False)

    def flush(self) -> list[Piece]:
        """The rest, now that a mark or the end has come."""
        return self._run(last=True)

    def called(self) -> None:
        """A call with marks came: white space alone after it is not an answer."""
        self._fresh = self._called = True

    def _run(self, *, last: bool) -> list[Piece]:
        pieces: list[Piece] = []
        while self._mode(pieces, last):
            pass
        return pieces

    def _text(self, pieces: list[Piece], last: bool) -> bool:
        """Ordinary text. Each mode says whether there may be more to do."""
        if self._fresh:
            decided = self._begin(pieces, last)
            if not decided or self._mode != self._text:
                return decided
        if not self._tools:
            self._say(pieces, len(self._held))
            return False
        for fence in _FENCE.finditer(self._held):
            if fence.start() or self._line_begins:
                return self._fence(pieces, fence.start(), fence.end(), last)
        unsure = None if last else _MAYBE_FENCE.search(self._held)
        if unsure and (unsure.start(1) or self._line_begins):
            self._say(pieces, unsure.start(1))
        else:
            self._say(pieces, len(self._held))
        return False

    def _begin(self, pieces: list[Piece], last: bool) -> bool:
        """The first words of all, or after a call. False: what they are is not clear yet."""
        words = self._held.lstrip()
        start = len(self._held) - len(words)
        if not words:
            if last and self._called:
                self._held = ""
            elif last:
                self._say(pieces, len(self._held))
            return False
        verdict = self._first_words(words) if self._tools else "text"
        if verdict == "wait" and not last:
            return False
        if verdict == "call":
            head = self._head.match(words)
            self._brackets = _Brackets(start + (head.end() - 1 if head else 0))
            self._mode = self._bare
        elif verdict == "block":
            self._line_begins = True
        else:
            self._fresh = False
        return True

    def _first_words(self, words: str) -> Literal["call", "block", "text", "wait"]:
        """What begins with `words`. wait: more of them are needed."""
        if words[0] == "{":
            return "call"
        if words[0] == "[":
            words = words[1:].lstrip()
            if not words:
                return "wait"
            if words[0] in "{]":
                return "call"
        elif words[0] == "`":
            return "block" if words.startswith("```") else "wait" if words in ("`", "``") else "text"
        if self._head.match(words):
            return "call"
        return "wait" if self._may_begin_call(words) else "text"

    def _may_begin_call(self, words: str) -> bool:
        """Whether what follows can make `words` the name of a tool and its bracket."""
        if "call:".startswith(words):
            return True
        bare = words.removeprefix("call:")
        name = bare.lstrip(" \t") if bare != words else bare
        if len(bare) - len(name) > _BLANKS:
            return False
        return any(tool.name.startswith(name) or _is_blank_after(tool.name, name) for tool in self._tools)

    def _fence(self, pieces: list[Piece], start: int, end: int, last: bool) -> bool:
        """A line that begins with ```, from `start`; its language follows at `end`."""
        line_end = self._held.find("\n", end)
        if line_end < 0 and not last and len(self._held) - end < _LONGEST_LANGUAGE:
            if not self._fresh:
                self._say(pieces, start)
            return False
        language = self._held[end : line_end if line_end >= 0 else len(self._held)].strip()
        if line_end >= 0 and not self._in_code and language in (*_SURELY, *_MAYBE):
            if not self._fresh:
                self._say(pieces, start)
                line_end -= start
            self._language, self._mode = language, self._block
            self._body_at = self._seen = line_end + 1
            return True
        self._in_code = bool(language) or not self._in_code
        self._fresh = False
        self._say(pieces, line_end + 1 if line_end >= 0 else len(self._held))
        return bool(self._held)

    def _block(self, pieces: list[Piece], last: bool) -> bool:
        """Inside a block that may be calls: held whole, as long as it may."""
        found = _FENCE.search(self._held, self._seen)
        unsure = _MAYBE_FENCE.search(self._held, self._seen - 1)
        self._seen = unsure.start(1) if unsure else len(self._held)
        end = found.start() if found else len(self._held) if last else self._seen
        sure = self._language in _SURELY
        beginning = self._held[self._body_at : min(end, self._body_at + _BEGINNING)].lstrip()
        if not sure and not self._may_be_calls(beginning):
            self._mode, self._in_code, self._fresh = self._text, True, False
            self._say(pieces, self._body_at)
            return True
        if found is None and not last:
            return False
        body = self._held[self._body_at : end]
        raw = self._held[: found.end()] if found else self._held
        self._held = self._held[len(raw) :]
        self._try(pieces, body, raw, sure=sure, strict=self._language not in (*_SURELY, "json"))
        return True

    def _may_be_calls(self, body: str) -> bool:
        starts = ("{", "[") if self._language == "json" else ("{", "[", "print(")
        if not body or any(one.startswith(body[: len(one)]) for one in starts):
            return True
        return self._language != "json" and bool(self._head.match(body) or self._may_begin_call(body))

    def _bare(self, pieces: list[Piece], last: bool) -> bool:
        """Inside brackets that may be calls: held until they close."""
        end = self._brackets.end(self._held)
        if end < 0 and not last:
            return False
        raw = self._held[:end] if end >= 0 else self._held
        self._held = self._held[len(raw) :]
        self._try(pieces, raw, raw, sure=raw.lstrip()[0] not in "{[", strict=False)
        return True

    def _try(self, pieces: list[Piece], body: str, raw: str, *, sure: bool, strict: bool) -> None:
        """sure: it was meant as calls. strict: it is text unless it can be read."""
        self._mode, self._line_begins = self._text, False
        try:
            pieces += read_calls(body, self._tools)
        except (UnreadableError, NoCallError) as error:
            if not sure and (strict or isinstance(error, NoCallError) or not self._named.search(body)):
                self._fresh = False
                pieces.append(Text(raw))
                return
            pieces.append(BadCall(raw.strip(), str(error) or "It calls nothing."))
        self.called()

    def _say(self, pieces: list[Piece], count: int) -> None:
        text, self._held = self._held[:count], self._held[count:]
        if text:
            pieces.append(Text(text))
            self._line_begins = text.endswith("\n")


def _is_blank_after(name: str, words: str) -> bool:
    """Whether `words` is the name and the white space that may come before its bracket."""
    rest = words.removeprefix(name)
    return rest != words and not rest.strip(" \t") and len(rest) <= _BLANKS


class _Brackets:
    """Finds where the brackets that begin at an offset of a text are all closed. Looks at each character once."""

    def __init__(self, at: int) -> None:
        self._at = at
        self._depth = 0
        self._quote = ""
        self._escaped = False

    def end(self, text: str) -> int:
        """The offset after the last bracket, or -1 if it has not come yet. text: the one before, grown."""
        while self._at < len(text):
            char = text[self._at]
            self._at += 1
            if self._quote:
                is_end = char == self._quote and not self._escaped
                self._escaped = char == "\\" and not self._escaped
                self._quote = "" if is_end else self._quote
            elif char in "\"'":
                self._quote = char
            elif char in _OPEN:
                self._depth += 1
            elif char in _CLOSE:
                self._depth -= 1
                if self._depth == 0:
                    return self._at
        return -1
