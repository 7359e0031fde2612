"""An exception anywhere in a step loses nothing, leaks nothing and changes no answer."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import gemwright.engine
from gemwright.engine.events import EventStream
from gemwright.engine.lookup import Lookup
from gemwright.engine.request import Event, Request
from gemwright.messages import Sampling
from gemwright.step import F32, Step
from support.guessing import Guessing
from support.toy_network import ToyCache, ToyNetwork
from unit.engine.driving import engine, request, slow_answer, text, tokens

_ENGINE = str(Path(gemwright.engine.__file__).parent)
_REQUESTS = [
    request(
        [1, 2, 3, 4, 5, 6, 7], max_tokens=4, sampling=Sampling(top_k=0, top_p=1.0, stop=("qqq",), presence_penalty=1.0)
    ),
    request([9], max_tokens=5, seed=2),
    request([3] * 20, max_tokens=3, seed=3),
]
_EXPECTED = [slow_answer(ToyNetwork(), one) for one in _REQUESTS]
_GUESSED = [
    replace(_REQUESTS[0], speculation=Guessing((*_REQUESTS[0].prompt, *_EXPECTED[0]), wrong=0.3)),
    replace(_REQUESTS[1], speculation=Guessing((*_REQUESTS[1].prompt, *_EXPECTED[1]), tokens=2)),
    replace(_REQUESTS[2], speculation=Lookup(ngram=1)),
]
_SHARED = [request([*range(40), i], max_tokens=3, seed=i) for i in range(2)]


class _Interrupter:
    """Raises KeyboardInterrupt before the n-th line that runs in the engine's own files, once.

    Not at a `with`, nor at the `return` before a `finally`: a tracer sees these lines again when the block is left, but
    unlike a tracer the interpreter handles no signal between the end of a block and what leaves it.
    """

    def __init__(self, line: int) -> None:
        self.left = line
        self.fired_at = ""

    def __call__(self, frame: FrameType, event: str, arg: object) -> Any:
        return self._in_file if frame.f_code.co_filename.startswith(_ENGINE) else None

    def _in_file(self, frame: FrameType, event: str, arg: object) -> Any:
        if event == "line" and not self.fired_at and not _leaves_a_block(frame):
            self.left -= 1
            if self.left < 0:
                self.fired_at = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
                raise KeyboardInterrupt
        return self._in_file


def _leaves_a_block(frame: FrameType) -> bool:
    return (
        linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        .lstrip()
        .startswith(("with ", "return outcome.events"))
    )


def _pull_once(stream: EventStream, interrupter: _Interrupter) -> Event | None:
    """The next event, None at the end; interrupted as the interrupter wants."""
    sys.settrace(interrupter)
    try:
        return next(stream, None)
    finally:
        sys.settrace(None)


def _run(line: int, requests: Sequence[Request]) -> str:
    """One run of all requests, interrupted once at `line`; where that was, or "" if the run was shorter."""
    driven, _, cache = engine(step_tokens=8, max_sequences=2, capacity=64)
    interrupter = _Interrupter(line)
    streams = [driven.submit(one) for one in requests]
    events: list[list[Event]] = [[] for _ in streams]
    for stream, got in zip(streams, events, strict=True):
        while True:
            try:
                event = _pull_once(stream, interrupter)
            except KeyboardInterrupt:
                continue
            if event is None:
                break
            got.append(event)
    where = f"interrupted at {interrupter.fired_at}"
    expected = [slow_answer(ToyNetwork(), one) for one in requests]
    assert [tokens(each) for each in events] == expected, where
    assert text(events[0]) == "".join(chr(97 + token % 26) for token in expected[0]), where
    driven.step()
    assert cache.free_tokens() == 64, where
    assert not driven._tickets, where
    assert not driven._slots, where
    return interrupter.fired_at


@pytest.mark.parametrize("requests", [_REQUESTS, _GUESSED, _SHARED], ids=["plain", "guessed", "shared"])
def test_ctrl_c_before_any_line_of_the_engine_changes_nothing(requests: Sequence[Request]) -> None:
    places = set()
    line = 0
    while where := _run(line, requests):
        places.add(where)
        line += 9
    assert line > 500, "the run must be long enough to mean something"
    assert len({place.split(":")[0] for place in places}) >= 5, places


@pytest.mark.parametrize("line", range(0, 400, 7))
@pytest.mark.parametrize("one", [_REQUESTS[0], _GUESSED[0]], ids=["plain", "guessed"])
def test_ctrl_c_and_leaving_frees_everything(line: int, one: Request) -> None:
    driven, _, cache = engine(step_tokens=8, max_sequences=2, capacity=64)
    interrupter = _Interrupter(line)
    try:
        with driven.submit(one) as stream:
            while _pull_once(stream, interrupter) is not None:
                pass
    except KeyboardInterrupt:
        pass
    driven.step()
    assert cache.free_tokens() == 64, interrupter.fired_at
    assert not driven.state.running


@pytest.mark.parametrize("broken_step", range(5))
def test_a_network_that_fails_once_is_tried_again_at_the_next_pull(broken_step: int) -> None:
    class Flaky(ToyNetwork):
        def forward(self, step: Step, cache: ToyCache, rows: Sequence[int] | None = None) -> F32:
            hidden = super().forward(step, cache, rows)
            if len(self.steps) - 1 == broken_step:
                raise MemoryError("no more")
            return hidden

    driven, _, cache = engine(network=Flaky(), step_tokens=8, max_sequences=2)
    streams = [driven.submit(one) for one in _REQUESTS[:2]]
    failures = 0
    answers = []
    for stream in streams:
        got = []
        while True:
            try:
                event = next(stream, None)
            except MemoryError:
                failures += 1
                continue
            if event is None:
                break
            got.append(event)
        answers.append(tokens(got))
    assert failures == 1
    assert answers == _EXPECTED[:2]
    assert cache.free_tokens() == 512
