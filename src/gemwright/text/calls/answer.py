"""An answer as it comes, sorted into text, thoughts and calls.

Control tokens come by their spelling, apart from the text: what a model merely quotes as text is never taken for one.
The prompt says where the answer begins (`Prompt.in_thought`): nothing waits for a mark that is already in the prompt.

- A thought is what stands between the marks of a channel, without the channel's name on its first line. A channel
  named "final" is the answer. One that never ends is a thought to the end, and `thought_cut` says so.
- A call is what stands between its marks; one that lacks the last mark is one if it is whole. A thought inside a call
  (seen in the wild) is taken out of it.
- Marks that mean nothing where they stand are left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from gemwright.dialogue import BadCall, Piece, Reasoning, Tool
from gemwright.text.calls.prose import Prose
from gemwright.text.calls.reading import NoCallError, read_calls
from gemwright.text.calls.values import QUOTE, UnreadableError
from gemwright.text.chat.template import Marks

_THOUGHT_NAMES = ("thought", "thoughts", "thinking", "analysis")
_ANSWER_NAMES = ("final",)
_LONGEST_NAME = 16
_STRANGE = "\udfff"
"""In a payload, for a control token that has no business there."""


class AnswerReader:
    """Feed it texts and marks in order, then `finish` it. What comes out does not depend on how texts were cut.

    marks: of the template; None if it has none, then only text is looked at. tools: what may be called.
    """

    def __init__(self, marks: Marks | None, tools: Sequence[Tool] = (), *, in_thought: bool = False) -> None:
        self._marks = marks
        self._tools = tuple(tools)
        self._prose = Prose(tools)
        self._thought = _Thought(named=True) if in_thought else None
        self._call: _Payload | None = None
        self.thought_cut = False
        """After `finish`: whether the answer ended inside a thought."""

    def feed(self, text: str) -> list[Piece]:
        """Text that is no mark."""
        if self._thought is not None:
            pieces = self._thought.feed(text)
            rest = self._thought.rest
            if rest is None:
                return pieces
            self._thought = None  # a channel that is the answer
            return [*pieces, *self.feed(rest)]
        if self._call is not None:
            self._call.add(text)
            return []
        return self._prose.feed(text)

    def mark(self, spelling: str) -> list[Piece]:
        """A control token."""
        marks = self._marks
        begins_call, ends_call = marks.call if marks else ("", "")
        begins_thought, ends_thought = (marks.thought if marks else None) or ("", "")
        pieces: list[Piece] = []
        ends_all = self._call is not None and spelling == ends_call  # with a thought left open inside the call
        if self._thought is not None and (spelling in (begins_thought, ends_thought, begins_call) or ends_all):
            pieces += self._thought.finish()
            self._thought = None
            if spelling == ends_thought:
                return pieces
        if spelling == begins_thought:
            self._thought = _Thought()
            return pieces if self._call is not None else [*pieces, *self._prose.flush()]
        if spelling in (begins_call, ends_call):
            pieces += self._end_call(ended=spelling == ends_call)
            if spelling == begins_call:
                pieces += self._prose.flush()
                self._call = _Payload(begins_call)
        elif self._call is not None and self._thought is None:
            self._call.add(QUOTE if marks and spelling == marks.quote else _STRANGE, spelling)
        return pieces

    def finish(self) -> list[Piece]:
        """The rest, when nothing follows."""
        pieces: list[Piece] = []
        if self._thought is not None:
            self.thought_cut = True
            pieces += self._thought.finish()
            self._thought = None
        return [*pieces, *self._end_call(ended=False), *self._prose.flush()]

    def _end_call(self, *, ended: bool) -> list[Piece]:
        payload, self._call = self._call, None
        if payload is None or self._marks is None:
            return []
        if ended:
            payload.add("", self._marks.call[1])
        self._prose.called()
        return payload.read(self._tools)


class _Payload:
    """What stands in a call, and how it was spelled."""

    def __init__(self, spelling: str) -> None:
        self._parts: list[str] = []
        self._raw = [spelling]

    def add(self, part: str, spelling: str | None = None) -> None:
        self._parts.append(part)
        self._raw.append(part if spelling is None else spelling)

    def read(self, tools: Sequence[Tool]) -> list[Piece]:
        payload = "".join(self._parts)
        try:
            if _STRANGE in payload:
                raise UnreadableError("A control token lies inside it.")
            return [*read_calls(payload, tools)]
        except (UnreadableError, NoCallError) as error:
            return [BadCall("".join(self._raw), str(error) or "It calls nothing.")]


class _Thought:
    """The inside of a channel. A line break before its end belongs to the marks, as the template writes it."""

    def __init__(self, *, named: bool = False) -> None:
        """named: its name has been written in the prompt."""
        self._name: str | None = None if named else ""
        self._held = ""
        self.rest: str | None = None
        """What came after a name that makes the channel the answer; None as long as it does not."""

    def feed(self, text: str) -> list[Piece]:
        if self._name is not None:
            self._name += text
            text = self._named()
        text = self._held + text
        self._held = "\n" if text.endswith("\n") else ""
        text = text.removesuffix("\n")
        return [Reasoning(text)] if text else []

    def finish(self) -> list[Piece]:
        """What is certain now that the channel ends."""
        text = self._held if self._name is None else self._name
        if self._name is None or self._name.strip() in (*_THOUGHT_NAMES, *_ANSWER_NAMES):
            text = ""
        return [Reasoning(text)] if text else []

    def _named(self) -> str:
        """The text after the name, once it is clear; text is held until then."""
        begun = self._name or ""
        name, line_break, rest = begun.partition("\n")
        if not line_break and len(begun) <= _LONGEST_NAME:
            return ""
        self._name = None
        if line_break and name.strip() in _ANSWER_NAMES:
            self.rest = rest
            return ""
        return rest if line_break and name.strip() in _THOUGHT_NAMES else begun
