"""An answer as text while it is made, and the finished answer with its figures."""

from __future__ import annotations

from types import TracebackType

from gemwright.engine.events import EventStream
from gemwright.engine.request import Event, Finished, Request, Token
from gemwright.errors import UsageError
from gemwright.messages import Completion


class Stream:
    """Iterate over it for pieces of text, then read `completion`.

    Closing it, leaving its `with` block or dropping it stops the answer.
    """

    def __init__(self, source: EventStream, request: Request, *, strip_start: bool = False) -> None:
        """strip_start: leave out white space before the first word, where the prompt's form demands some."""
        self._source = source
        self._request = request
        self._strip_start = self._at_start = strip_start
        self._events: list[Event] = []
        self._closed = False

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> str:
        """The next piece of text, never empty. Raises what made the answer fail."""
        while True:
            self._events.append(next(self._source))
            text = self._events[-1].text
            if self._at_start:
                text = text.lstrip()
            if text:
                self._at_start = False
                return text

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
        logprobs = tuple(event.logprob for event in tokens if event.logprob is not None)
        return Completion(
            text=self._text(),
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

    def _text(self) -> str:
        text = "".join(event.text for event in self._events)
        return text.lstrip() if self._strip_start else text
