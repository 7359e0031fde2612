"""A model that says what it is told to, and a terminal that is not there."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from gemwright.cli.app import run_program
from gemwright.messages import Completion, Message, Sampling


class FakeStream:
    """The pieces of one answer; an exception among them is raised in its turn."""

    def __init__(
        self, pieces: Sequence[str | BaseException], seed: int | None, counts: tuple[int, int, int] = (0, 0, 0)
    ) -> None:
        self._pieces: Iterator[str | BaseException] = iter(pieces)
        self._text = ""
        self._seed = seed
        self._counts = counts
        self.closed = False

    def __iter__(self) -> FakeStream:
        return self

    def __next__(self) -> str:
        piece = next(self._pieces)
        if isinstance(piece, BaseException):
            raise piece
        self._text += piece
        return piece

    def __enter__(self) -> FakeStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    @property
    def completion(self) -> Completion:
        tokens = tuple(range(len(self._text)))
        cached, drafted, accepted = self._counts
        return Completion(
            self._text,
            tokens,
            "stop",
            prompt_tokens=10,
            prefill_s=0.5,
            decode_s=2.0,
            seed=self._seed,
            cached_tokens=cached,
            drafted_tokens=drafted,
            accepted_tokens=accepted,
        )


@dataclass
class FakeModel:
    """Answers with `answers` in turn and writes down what it was asked."""

    answers: list[Sequence[str | BaseException]] = field(default_factory=lambda: [("Hel", "lo.")])
    is_chat_tuned: bool = False
    chat_format: str = "transcript/1"
    counts: tuple[int, int, int] = (0, 0, 0)
    asked: list[dict[str, Any]] = field(default_factory=list)
    streams: list[FakeStream] = field(default_factory=list)
    loaded_with: dict[str, Any] = field(default_factory=dict)

    def load(self, name: str | None, **options: Any) -> FakeModel:
        self.loaded_with = {"name": name, **options}
        return self

    def stream(self, prompt: str, *, max_tokens: int, sampling: Sampling, **options: Any) -> FakeStream:
        return self._answer(options, prompt=prompt, max_tokens=max_tokens, sampling=sampling)

    def stream_chat(
        self, messages: Sequence[Message], *, max_tokens: int, sampling: Sampling, **options: Any
    ) -> FakeStream:
        return self._answer(options, messages=list(messages), max_tokens=max_tokens, sampling=sampling)

    def describe(self) -> dict[str, object]:
        return {"name": "fake"}

    def _answer(self, options: dict[str, Any], **asked: Any) -> FakeStream:
        asked |= {name: value for name, value in options.items() if value is not None}
        pieces = self.answers[len(self.asked) % len(self.answers)]
        self.asked.append(asked)
        if len(pieces) == 1 and isinstance(pieces[0], Exception):
            raise pieces[0]  # refused before it began
        self.streams.append(FakeStream(pieces, asked["sampling"].seed, self.counts))
        return self.streams[-1]


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    status: int
    out: str
    err: str


@pytest.fixture
def model() -> FakeModel:
    return FakeModel()


@pytest.fixture
def run(model: FakeModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """`run("chat", "--seed", "1", stdin=b"…")`: the command's end, with `model` in place of a real one."""

    def runner(*arguments: str, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        status = run_program(arguments, load=model.load)
        return Ran(status, *capsys.readouterr())

    return runner
