"""The events of one request, pulled one by one: whoever pulls runs the engine's next step, for everybody."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from gemwright.engine.request import Event, Finished
from gemwright.engine.ticket import Outcome, Ticket


class _Engine(Protocol):
    def outcome(self, ticket: Ticket, index: int) -> Outcome | None: ...
    def discard(self, ticket: Ticket) -> None: ...


class EventStream:
    """An iterator that ends after `Finished`, or without it when it was closed first.

    Closing it, leaving its `with` block or dropping the last reference to it cancels the request and frees its cache.
    (An object and not a generator: a generator that was never started never runs its `finally`.)
    """

    def __init__(self, engine: _Engine, ticket: Ticket) -> None:
        self._engine = engine
        self._ticket = ticket
        self._next = (0, 0)  # which outcome, and which of its events
        self._closed = False

    def __iter__(self) -> EventStream:
        return self

    def __next__(self) -> Event:
        """The next event. Raises what made the request fail."""
        index, part = self._next
        outcome = None if self._closed else self._engine.outcome(self._ticket, index)
        if outcome is None:
            raise StopIteration
        if outcome.error is not None:
            self.close()
            raise outcome.error
        try:
            return outcome.events[part]
        finally:  # last of all, so that a pull cut short by Ctrl-C can be repeated
            self._next = (index, part + 1) if part + 1 < len(outcome.events) else (index + 1, 0)

    def close(self) -> None:
        """Cancel what is not finished. Never waits: if another thread is in a step, it takes effect after that."""
        if not self._closed:
            self._engine.discard(self._ticket)
            self._closed = True

    def cancelled(self) -> Finished:
        """The figures of what was read before the stream was closed."""
        return self._ticket.cancelled(self._next[0])

    def __enter__(self) -> EventStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
