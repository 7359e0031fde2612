"""An answer while it is made, and the finished answer with its figures."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Protocol

from gemwright.engine.events import EventStream
from gemwright.engine.request import Event, Finished, Request, Token
from gemwright.errors import UsageError
from gemwright.messages import BadCall, Completion, Piece, Reasoning, Text, ToolCall


class Reader(Protocol):
    """Sorts an answer into text, thoughts and calls (`gemwright.text.calls.AnswerReader`)."""

    thought_cut: bool

    def feed(self, text: str, /) -> list[Piece]:
        """Text that is no control token."""

    def mark(self, spelling: str, /) -> list[Piece]:
        """A control token. The text before it has been fed."""

    def finish(self) -> list[Piece]:
        """The rest, when nothing follows."""


class Plain:
    """A reader for what is text and nothing else. strip_start: without white space before the first word."""

    thought_cut = False

    def __init__(self, *, strip_start: bool = False) -> None:
        self._at_start = strip_start

    def feed(self, text: str) -> list[Piece]:
        """The text itself."""
        if self._at_start:
            text = text.lstrip()
            self._at_start = not text
        return [Text(text)] if text else []

    def mark(self, spelling: str) -> list[Piece]:
        """Nothing: marks have no text."""
        return []

    def finish(self) -> list[Piece]:
        """Nothing is held."""
        return []


class Stream:
    """Iterate over it for pieces of the answer's text, or over `pieces()` for thoughts and calls as well; then read
    `completion`.

    Closing it, leaving its `with` block or dropping it stops the answer.
    """

    def __init__(
        self,
        source: EventStream,
        request: Request,
        reader: Callable[[], Reader] = Plain,
        mark: Callable[[int], str | None] = lambda token: None,
    ) -> None:
        """reader: makes a new one. mark: a control token's spelling, None for any other token."""
        self._source = source
        self._request = request
        self._new_reader = reader
        self._mark = mark
        self._reader = reader()
        self._events: list[Event] = []
        self._ready: deque[Piece] = deque()
        self._closed = False

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> str:
        """The next piece of text, never empty. Raises what made the answer fail."""
        while True:
            piece = self._next_piece()
            if isinstance(piece, Text):
                return piece.text

    def pieces(self) -> Iterator[Piece]:
        """What comes next, in order: text, thoughts, and calls when they are whole. Raises as iterating does."""
        while True:
            try:
                yield self._next_piece()
            except StopIteration:
                return

    def read(self) -> Completion:
        """The completion, after reading what is left."""
        for _ in self:
            pass
        return self.completion

    @property
    def completion(self) -> Completion:
        """The finished answer, or what was made of it before `close`. Raises UsageError before either."""
        last = self._events[-1] if self._events else None
        if not isinstance(last, Finished):
            if not self._closed:
                raise UsageError("The answer is not finished.", hint="Read the stream to its end or close it first.")
            last = self._source.cancelled()
        tokens = [event for event in self._events if isinstance(event, Token)]
        reader, pieces = self._read_again()
        logprobs = tuple(event.logprob for event in tokens if event.logprob is not None)
        return Completion(
            text="".join(piece.text for piece in pieces if isinstance(piece, Text)),
            tokens=tuple(event.id for event in tokens),
            finish_reason=last.reason,
            prompt_tokens=last.prompt_tokens,
            prefill_s=last.prefill_s,
            decode_s=last.decode_s,
            logprobs=logprobs if self._request.want_logprobs else None,
            seed=self._request.seed,
            cached_tokens=last.cached_tokens,
            drafted_tokens=last.drafted_tokens,
            accepted_tokens=last.accepted_tokens,
            reasoning="".join(piece.text for piece in pieces if isinstance(piece, Reasoning)),
            tool_calls=tuple(piece for piece in pieces if isinstance(piece, ToolCall)),
            bad_calls=tuple(piece for piece in pieces if isinstance(piece, BadCall)),
            reasoning_cut=reader.thought_cut,
        )

    def close(self) -> None:
        """Stop the answer if it is not finished."""
        self._closed = True
        self._source.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _next_piece(self) -> Piece:
        while not self._ready:
            self._events.append(next(self._source))
            self._ready += self._pieces(self._events[-1], self._reader)
        return self._ready.popleft()

    def _pieces(self, event: Event, reader: Reader) -> list[Piece]:
        """What an event adds. A control token comes after the text it was held back for."""
        pieces = reader.feed(event.text)
        if isinstance(event, Finished):
            return [*pieces, *reader.finish()]
        spelling = self._mark(event.id)
        return pieces if spelling is None else [*pieces, *reader.mark(spelling)]

    def _read_again(self) -> tuple[Reader, list[Piece]]:
        """All that came, from the events: right even if iterating was cut short in the middle of a piece."""
        reader = self._new_reader()
        pieces = [piece for event in self._events for piece in self._pieces(event, reader)]
        if not (self._events and isinstance(self._events[-1], Finished)):
            pieces += reader.finish()
        return reader, pieces
