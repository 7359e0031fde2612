"""Thoughts and calls as a user of the Python interface meets them: a scripted answer, a whole model around it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from gemwright.engine.request import Event, Finished, Request, Token
from gemwright.errors import UsageError
from gemwright.messages import BadCall, Message, Reasoning, Text, Tool, ToolCall
from gemwright.model import Facts, Model
from gemwright.text.chat import FUNCTIONGEMMA, GEMMA3, GEMMA4, TRANSCRIPT, ChatTemplate
from gemwright.text.detokenizer import Detokenizer
from gemwright.text.pieces import PieceType
from gemwright.text.tokenizer import Tokenizer
from support.toy_network import ToyConfig, ToyNetwork
from unit.text.toy import Toy

MARKS = (
    "<|turn>", "<turn|>", "<|think|>", "<|channel>", "<channel|>", "<|tool>", "<tool|>", "<|tool_call>", "<tool_call|>",
    "<|tool_response>", "<tool_response|>", '<|"|>', "<start_function_declaration>", "<end_function_declaration>",
    "<start_function_call>", "<end_function_call>", "<start_function_response>", "<end_function_response>", "<escape>",
)  # fmt: skip
WEATHER = Tool("weather", "", {"properties": {"city": {"type": "string"}}})
OSLO = ToolCall("weather", {"city": "Oslo"})
ASK = [{"role": "user", "content": "hi"}]


def vocabulary() -> Tokenizer:
    toy = Toy.of()
    return Tokenizer.from_pieces(
        Toy(
            (*toy.spellings, *MARKS),
            (*toy.scores, *[0.0] * len(MARKS)),
            (*toy.types, *[PieceType.USER_DEFINED] * len(MARKS)),
        ).pieces()
    )


TOKENIZER = vocabulary()


def ids(spelled: str) -> list[int]:
    """The tokens of an answer in which marks are spelled."""
    marks = "|".join(re.escape(mark) for mark in (*MARKS, "<unused0>"))
    tokens: list[int] = []
    for part in re.split(f"({marks})", spelled):
        mark = TOKENIZER.control_id(part)
        tokens += TOKENIZER.encode(part, bos=False) if mark is None else [mark]
    return tokens


class Script:
    """An engine that has one answer, whatever it is asked."""

    def __init__(self, spelled: str) -> None:
        self.tokens = ids(spelled)
        self.requests: list[Request] = []

    def submit(self, request: Request) -> Any:
        self.requests.append(request)
        return Source(self._events(request))

    def _events(self, request: Request) -> Iterator[Event]:
        detokenizer, count = Detokenizer(TOKENIZER, (*request.stop, *request.sampling.stop)), 0
        for count, token in enumerate(self.tokens, 1):  # noqa: B007
            if token in request.stop_ids:
                break
            yield Token(token, detokenizer.feed(token), None)
            if detokenizer.stopped:
                break
        yield Finished("stop", detokenizer.finish(), len(request.prompt), count, 0.1, 0.2)


class Source:
    def __init__(self, events: Iterator[Event]) -> None:
        self.events = events

    def __next__(self) -> Event:
        return next(self.events)

    def close(self) -> None:
        self.events = iter(())

    def cancelled(self) -> Finished:
        return Finished("cancelled", "", 1, 1, 0.1, 0.2)


def model(spelled: str, template: ChatTemplate = GEMMA4) -> tuple[Model, Script]:
    network = ToyNetwork(ToyConfig(vocabulary=TOKENIZER.vocabulary_size, context_tokens=2048))
    made = Model(network, TOKENIZER, template, Facts("toy", "toy", 1, 2, "default"))  # type: ignore[arg-type]
    script = Script(spelled)
    made.engine = script  # type: ignore[assignment]
    return made, script


def test_thoughts_calls_and_text_come_apart_and_in_order() -> None:
    spelled = (
        '<|channel>thought\nstable\n<channel|>tables <|tool_call>call:weather{city:<|"|>Oslo<|"|>}<tool_call|>'
        "<|tool_call>call:weather{city:}<tool_call|><|tool_response>never seen"
    )
    talker, _ = model(spelled)
    done = talker.chat(ASK, tools=[WEATHER], thinking=True, seed=1)
    assert (done.text, done.reasoning, done.tool_calls) == ("tables ", "stable", (OSLO,))
    assert [bad.raw for bad in done.bad_calls] == ["<|tool_call>call:weather{city:}<tool_call|>"]
    assert not done.reasoning_cut
    with talker.stream_chat(ASK, tools=[WEATHER], thinking=True, seed=1) as stream:
        pieces = list(stream.pieces())
    assert "".join(piece.text for piece in pieces if isinstance(piece, Reasoning)) == "stable"
    assert [type(piece) for piece in pieces if not isinstance(piece, Reasoning)][-2:] == [ToolCall, BadCall]
    assert stream.completion == done
    assert "".join(talker.stream_chat(ASK, tools=[WEATHER])) == "tables "


def test_an_answer_after_a_result_begins_inside_the_thought_the_prompt_has_opened() -> None:
    talker, script = model("see\n<channel|>table")
    talk = [*ASK, Message("assistant", "", [OSLO]), Message("tool", "rain")]
    done = talker.chat(talk, tools=[WEATHER], thinking=True)
    assert (done.reasoning, done.text) == ("see", "table")
    assert TOKENIZER.decode(script.requests[0].prompt, control=True).endswith("<|channel>thought\n")
    done = talker.chat(talk, tools=[WEATHER])
    assert (done.reasoning, done.text) == ("", "see\ntable")


def test_a_thought_that_is_cut_off_is_no_answer_and_says_so() -> None:
    talker, _ = model("<|channel>thought\nstable")
    done = talker.chat(ASK, thinking=True)
    assert (done.text, done.reasoning, done.reasoning_cut) == ("", "stable", True)


def test_a_stream_that_is_closed_keeps_what_it_was_sorted_into() -> None:
    talker, _ = model("<|channel>thought\nstable\n<channel|>able")
    with talker.stream_chat(ASK, thinking=True) as stream:
        first = next(stream.pieces())
    assert isinstance(first, Reasoning)
    done = stream.completion
    assert done.finish_reason == "cancelled"
    assert (done.text, done.reasoning_cut) == ("", True)
    assert done.reasoning.startswith(first.text)


def test_functiongemma_calls_and_stops_for_the_result() -> None:
    talker, script = model(
        "<start_function_call>call:weather{city:<escape>Oslo<escape>}<end_function_call><start_function_response>x",
        FUNCTIONGEMMA,
    )
    assert talker.chat(ASK, tools=[WEATHER]).tool_calls == (OSLO,)
    assert TOKENIZER.control_id("<start_function_response>") in script.requests[0].stop_ids


def test_gemma_3_is_prompted_and_its_text_is_searched() -> None:
    answer = 'table\n```json\n[{"name": "weather", "parameters": {"city": "Oslo"}}]\n```'
    talker, script = model(answer, GEMMA3)
    done = talker.chat(ASK, tools=[WEATHER])
    assert (done.text, done.tool_calls) == ("table\n", (OSLO,))
    assert '"name": "weather"' in TOKENIZER.decode(script.requests[0].prompt)
    assert talker.chat(ASK).text == answer  # nothing is looked for where nothing was offered


def test_a_stop_string_does_not_swallow_the_mark_after_its_beginning() -> None:
    talker, _ = model("ab<|channel>thought\nable<channel|>table")
    done = talker.chat(ASK, thinking=True, stop=("abc",))
    assert (done.text, done.reasoning) == ("abtable", "able")


def test_reserved_tokens_are_watched_for() -> None:
    talker, script = model("able")
    talker.chat(ASK)
    assert script.requests[0].reserved_ids == TOKENIZER.reserved_ids
    assert TOKENIZER.control_id("<unused0>") in TOKENIZER.reserved_ids


def test_a_model_that_was_not_taught_it_says_what_it_cannot_do() -> None:
    with pytest.raises(UsageError, match="base model cannot be given tools"):
        model("", TRANSCRIPT)[0].chat(ASK, tools=[WEATHER])
    with pytest.raises(UsageError, match="no channel for thoughts"):
        model("", GEMMA3)[0].chat(ASK, thinking=True)
    with pytest.raises(UsageError, match="Two tools have the name 'weather'"):
        model("")[0].chat(ASK, tools=[WEATHER, WEATHER])


def test_text_that_only_looks_like_marks_stays_text() -> None:
    talker, _ = model("a")
    talker.engine.tokens = TOKENIZER.encode("<|tool_call>call:weather{}<tool_call|><|channel>", bos=False)  # type: ignore[union-attr]
    done = talker.chat(ASK, tools=[WEATHER], thinking=True)
    assert done.text == "<|tool_call>call:weather{}<tool_call|><|channel>"
    assert done.tool_calls == done.bad_calls == ()
    assert not done.reasoning_cut


def test_the_pieces_are_plain_values() -> None:
    assert Text("a") == Text("a")
    assert BadCall("a", "b") != BadCall("a", "c")
