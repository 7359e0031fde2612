"""What models write for calls and thoughts, in the form they were taught and in those they drift to.

Each becomes a call or says why it is none; no mark and no half of a call is ever left in the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemwright.dialogue import BadCall, Message, Piece, Reasoning, Text, Tool, ToolCall
from gemwright.text.calls import AnswerReader, read_calls
from gemwright.text.calls.reading import MAX_CALLS, MAX_CHARACTERS
from gemwright.text.calls.values import QUOTE, Scanner, UnreadableError
from gemwright.text.chat import FUNCTIONGEMMA, GEMMA3, GEMMA4, ChatTemplate, Conversation, Mark
from gemwright.text.chat.functiongemma import MARKS as FUNCTION_MARKS
from gemwright.text.chat.gemma4 import MARKS as GEMMA4_MARKS
from gemwright.text.chat.template import Marks, joined

TOOLS = (
    Tool("weather", "", {"properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}),
    Tool("create-pdf-file", "", {"properties": {"filename": {}, "content": {}}}),
    Tool("now"),
    Tool("run_terminal_command", "", {"properties": {"command": {"type": "string"}}}),
)
OSLO = ToolCall("weather", {"city": "Oslo"})
SPELLED = re.compile(
    "|".join(
        re.escape(mark)
        for marks in (GEMMA4_MARKS, FUNCTION_MARKS)
        for mark in (*marks.call, *marks.response, *(marks.thought or ()), marks.quote)
    )
    + "|<unused49>"
)


def items(spelled: str) -> Iterator[tuple[bool, str]]:
    """(whether it is a mark, spelling) of an answer."""
    cuts = [0, *[at for found in SPELLED.finditer(spelled) for at in found.span()], len(spelled)]
    for start, end in pairwise(cuts):
        if start < end:
            yield SPELLED.fullmatch(spelled, start, end) is not None, spelled[start:end]


def merged(pieces: Sequence[Piece]) -> list[Piece]:
    """With neighbouring texts, and neighbouring thoughts, as one."""
    result: list[Piece] = []
    for piece in pieces:
        last = result[-1] if result else None
        if isinstance(piece, (Text, Reasoning)) and type(piece) is type(last):
            result[-1] = type(piece)(last.text + piece.text)  # type: ignore[union-attr]
        else:
            result.append(piece)
    return result


def read(
    spelled: str, marks: Marks | None = GEMMA4_MARKS, tools: Sequence[Tool] = TOOLS, *, size: int = 1000, **options: Any
) -> list[Piece]:
    reader = AnswerReader(marks, tools, **options)
    pieces: list[Piece] = []
    for is_mark, text in items(spelled):
        if is_mark:
            pieces += reader.mark(text)
        else:
            for at in range(0, len(text), size):
                pieces += reader.feed(text[at : at + size])
    return merged([*pieces, *reader.finish()])


def gemma4(payload: str) -> str:
    return f"<|tool_call>{payload}<tool_call|>"


GOOD = {
    "as taught": ('call:weather{city:<|"|>Oslo<|"|>}', [OSLO]),
    "several values": ('call:weather{city:<|"|>Oslo<|"|>,days:3}', [ToolCall("weather", {"city": "Oslo", "days": 3})]),
    "nothing": ("call:now{}", [ToolCall("now")]),
    "no brackets": ("call:now", [ToolCall("now")]),
    "round brackets": ('call:weather(city:<|"|>Oslo<|"|>)', [OSLO]),
    "python's form": ("call:weather(city='Oslo')", [OSLO]),
    "python's form, by position": ("call:weather('Oslo', 2)", [ToolCall("weather", {"city": "Oslo", "days": 2})]),
    "by position and by name": ("weather('Oslo', days=2)", [ToolCall("weather", {"city": "Oslo", "days": 2})]),
    "single quotes": ("call:weather{city:'Oslo'}", [OSLO]),
    "double quotes": ('call:weather{city:"Oslo"}', [OSLO]),
    "quoted keys": ('call:weather{<|"|>city<|"|>:<|"|>Oslo<|"|>}', [OSLO]),
    "json keys": ('call:weather{"city": "Oslo"}', [OSLO]),
    "a quote too many": ("call:weather{city:'Oslo'<|\"|>}", [OSLO]),
    "bare words": ("call:weather{city:Oslo}", [OSLO]),
    "namespaces": ('call:google:mcp:text_generation:weather{city:<|"|>Oslo<|"|>}', [OSLO]),
    "a module": ("default_api.weather(city='Oslo')", [OSLO]),
    "print": ('print(weather(city="Oslo"))', [OSLO]),
    "a python list": ("[weather(city='Oslo'), now()]", [OSLO, ToolCall("now")]),
    "no opener": ('weather{city:<|"|>Oslo<|"|>}', [OSLO]),
    "half an opener": (':weather{city:<|"|>Oslo<|"|>}', [OSLO]),
    "json": ('{"name": "weather", "arguments": {"city": "Oslo"}}', [OSLO]),
    "json's parameters": ('{"name": "weather", "parameters": {"city": "Oslo"}}', [OSLO]),
    "openai's json": (
        '{"type": "function", "function": {"name": "weather", "arguments": "{\\"city\\": \\"Oslo\\"}"}}', [OSLO],
    ),
    "a list of json": ('[{"name": "weather", "args": {"city": "Oslo"}}, {"name": "now"}]', [OSLO, ToolCall("now")]),
    "two at once": ('call:weather{city:<|"|>Oslo<|"|>}call:now{}', [OSLO, ToolCall("now")]),
    "two on lines": ('call:weather{city:<|"|>Oslo<|"|>}\ncall:now{}', [OSLO, ToolCall("now")]),
    "a missing comma": (
        'call:weather{city:<|"|>Oslo<|"|>days:90}', [ToolCall("weather", {"city": "Oslo", "days": 90})],
    ),
    "punctuation in quotes": (
        "call:create-pdf-file{filename:'a,b:{c}.pdf',content:<|\"|>it's \"x\", {y}: [z]<|\"|>}",
        [ToolCall("create-pdf-file", {"filename": "a,b:{c}.pdf", "content": 'it\'s "x", {y}: [z]'})],
    ),
    "nested": (
        'call:create-pdf-file{content:{a:[1,{b:<|"|>x<|"|>}],c:true,d:null,e:-1.5e3},filename:<|"|>f<|"|>}',
        [ToolCall("create-pdf-file", {"content": {"a": [1, {"b": "x"}], "c": True, "d": None, "e": -1500.0},
                                      "filename": "f"})],
    ),
    "unicode": ('call:weather{city:<|"|>北京 🙂 é<|"|>}', [ToolCall("weather", {"city": "北京 🙂 é"})]),
    "escapes": (
        'call:weather{"city": "a\\n\\u00e9\\ud83d\\ude42\\"\\q"}', [ToolCall("weather", {"city": 'a\né🙂"\\q'})],
    ),
    "three quotes": ('weather(city="""a "b"\nc""")', [ToolCall("weather", {"city": 'a "b"\nc'})]),
    "an empty string": ("call:weather{city:<|\"|><|\"|>}", [ToolCall("weather", {"city": ""})]),
    "a zip code": ("call:weather{city:0150}", [ToolCall("weather", {"city": "0150"})]),
    "blocks": (
        "call:create-pdf-file:\nBEGIN_ARG:\nparser.py\nEND_ARG\nBEGIN_ARG:\nimport re\n\nx = {}\nEND_ARG\n",
        [ToolCall("create-pdf-file", {"filename": "parser.py", "content": "import re\n\nx = {}"})],
    ),
    "blocks with a thought in them": (
        "call:run_terminal_command:\nBEGIN_ARG:\n<|channel>thought\n<channel|>ls\nEND_ARG\n",
        [ToolCall("run_terminal_command", {"command": "ls"})],
    ),
}  # fmt: skip

BAD = {
    "empty": ("", "empty"),
    "an unknown name": ("call:wether{}", "no tool 'wether'"),
    "an unclosed string": ('call:weather{city:<|"|>Oslo}', "does not end"),
    "cut off": ('call:weather{city:<|"|>Oslo<|"|>', "end is missing"),
    "cut off in a key": ("call:weather{ci", "not followed by a value"),
    "no value": ("call:weather{city:}", "value is missing"),
    "a comma in bare words": ("call:weather{city:Tokyo, Japan}", "not followed by a value"),
    "a key given twice": ("call:weather{city:'a',city:'b'}", "given twice"),
    "prose": ("I will call weather now", "not followed by arguments"),
    "json of another kind": ('{"a": 1}', "calls nothing"),
    "too many values": ("weather('a', 1, 2)", "more values"),
    "an expression": ("weather(city=open('x').read())", "neither a value"),
    "a formatted string": ("weather(city=f'{x}')", "neither a value"),
    "a reserved token in it": ('call:weather{city:<|"|>Os<unused49>lo<|"|>}', "control token"),
    "half a character": ('call:weather{"city": "\\ud83d"}', "half of a character"),
    "a number without end": ("call:weather{days:1e999}", "beyond"),
    "a number of many digits": ("call:weather{days:" + "9" * 401 + "}", "401 characters"),
    "very deep": ("call:weather{city:" + "[" * 40 + "]" * 40 + "}", "deep"),
    "arguments that are none": ('{"name": "weather", "arguments": [1]}', "not an object"),
}


@pytest.mark.parametrize(("payload", "calls"), GOOD.values(), ids=GOOD)
def test_every_form_that_means_one_thing_is_read(payload: str, calls: list[ToolCall]) -> None:
    for size in (1, 3, 1000):
        assert read(gemma4(payload), size=size) == calls
        assert read("Let me see.\n" + gemma4(payload) + "\n", size=size) == [Text("Let me see.\n"), *calls]
    assert read(gemma4(payload).removesuffix("<tool_call|>")) == calls  # the end mark is often forgotten


@pytest.mark.parametrize(("payload", "problem"), BAD.values(), ids=BAD)
def test_what_cannot_be_read_says_why_and_is_not_lost(payload: str, problem: str) -> None:
    for size in (1, 1000):
        (bad,) = read(gemma4(payload), size=size)
        assert isinstance(bad, BadCall)
        assert problem in bad.problem
        assert bad.raw == gemma4(payload)
        assert read("a " + gemma4(payload) + " b", size=size) == [Text("a "), bad, Text(" b")]


def test_a_call_functiongemma_was_taught_is_read() -> None:
    payload = "<start_function_call>call:weather{city:<escape>Oslo<escape>}<end_function_call>"
    for size in (1, 1000):
        assert read(payload * 2, FUNCTION_MARKS, size=size) == [OSLO, OSLO]
        assert read(payload + "<start_function_response>", FUNCTION_MARKS, size=size) == [OSLO]


def test_a_call_nobody_declared_a_tool_for_is_bad() -> None:
    (bad,) = read(gemma4("call:weather{}"), tools=())
    assert isinstance(bad, BadCall)
    assert "no tool" in bad.problem


CUT = BadCall("<|tool_call>call:now{<tool_call|>", "The end is missing.")


@pytest.mark.parametrize(
    ("spelled", "pieces"),
    [
        ("<|channel>thought\nhm\n<channel|>yes", [Reasoning("hm"), Text("yes")]),
        ("<|channel>thought\n<channel|>yes", [Text("yes")]),
        ("<|channel>thought<channel|>yes", [Text("yes")]),
        ("<|channel>thought\na\n\nb\n\n<channel|>yes", [Reasoning("a\n\nb\n"), Text("yes")]),
        ("<|channel>let me think about this<channel|>yes", [Reasoning("let me think about this"), Text("yes")]),
        ("<|channel>oh<channel|>yes", [Reasoning("oh"), Text("yes")]),
        ("<|channel>thought\nhm<channel|><|channel>final\nyes<channel|>", [Reasoning("hm"), Text("yes")]),
        ("yes<channel|>", [Text("yes")]),
        ("a<|channel>thought\nb<channel|>c", [Text("a"), Reasoning("b"), Text("c")]),
        ("<|channel>thought\na<|channel>thought\nb<channel|>c", [Reasoning("ab"), Text("c")]),
        ("<|channel>thought\na" + gemma4("call:now{}") + "b", [Reasoning("a"), ToolCall("now"), Text("b")]),
        (gemma4("call:now{<|channel>thought\nb") + "c", [Reasoning("b"), CUT, Text("c")]),
        ("<|channel>thought\na<tool_call|>b<channel|>c", [Reasoning("ab"), Text("c")]),
        ("thought\nis a word", [Text("thought\nis a word")]),
        ("<tool_call|>yes", [Text("yes")]),
    ],
)
def test_thoughts_and_answers_are_kept_apart(spelled: str, pieces: list[Piece]) -> None:
    for size in (1, 2, 1000):
        assert read(spelled, size=size) == pieces


def test_a_thought_the_prompt_has_begun_is_a_thought_from_the_first_word() -> None:
    for size in (1, 1000):
        assert read("hm\n<channel|>yes", in_thought=True, size=size) == [Reasoning("hm"), Text("yes")]
        assert read("final\nhm<channel|>", in_thought=True, size=size) == [Reasoning("final\nhm")]


def test_a_thought_that_never_ends_is_a_thought_and_says_so() -> None:
    reader = AnswerReader(GEMMA4_MARKS)
    assert merged([*reader.mark("<|channel>"), *reader.feed("thought\nhm"), *reader.finish()]) == [Reasoning("hm")]
    assert reader.thought_cut
    whole = AnswerReader(GEMMA4_MARKS)
    assert merged([*whole.mark("<|channel>"), *whole.mark("<channel|>"), *whole.finish()]) == []
    assert not whole.thought_cut


PROSE = {
    "json block": ('```json\n{"name": "weather", "parameters": {"city": "Oslo"}}\n```', [OSLO]),
    "json list in a block": ('```json\n[{"name": "weather", "parameters": {"city": "Oslo"}}]\n```\n', [OSLO]),
    "text before": (
        'Sure:\n```json\n{"name": "weather", "arguments": {"city": "Oslo"}}\n```', [Text("Sure:\n"), OSLO],
    ),
    "tool_code": ('```tool_code\nprint(weather(city="Oslo"))\n```', [OSLO]),
    "tool_code in lines": ('```tool_code\nweather(city="Oslo")\nnow()\n```', [OSLO, ToolCall("now")]),
    "tool_call": ('```tool_call\n{"name": "weather", "arguments": {"city": "Oslo"}}\n```', [OSLO]),
    "python": ('```python\nweather(city="Oslo")\n```', [OSLO]),
    "a block without a name": ('```\nweather(city="Oslo")\n```', [OSLO]),
    "an open block": ('```json\n{"name": "weather", "parameters": {"city": "Oslo"}}', [OSLO]),
    "bare json": ('{"name": "weather", "parameters": {"city": "Oslo"}}', [OSLO]),
    "bare json in lines": (
        ' {"name": "weather", "parameters": {"city": "Oslo"}}\n{"name": "now", "parameters": {}}\n',
        [OSLO, ToolCall("now")],
    ),
    "brackets in a string": (
        '{"name": "weather", "parameters": {"city": "a}\\"}b"}}', [ToolCall("weather", {"city": 'a}"}b'})],
    ),
    "a bare list": ('[weather(city="Oslo"), now()]', [OSLO, ToolCall("now")]),
    "bare python": ("weather(city='Oslo')", [OSLO]),
    "gemma 4's form without marks": ("call:weather{city: 'Oslo'}", [OSLO]),
    "text after": ('[weather(city="Oslo")] as you wish', [OSLO, Text(" as you wish")]),
    "other json": ('{"a": 1}', [Text('{"a": 1}')]),
    "other json in a block": ('```json\n{"a": [1]}\n```\nok', [Text('```json\n{"a": [1]}\n```\nok')]),
    "other python": ("```python\nx = 1\nprint(x)\n```\nok", [Text("```python\nx = 1\nprint(x)\n```\nok")]),
    "code that uses a tool's name": ("```python\nweather = 3\n```", [Text("```python\nweather = 3\n```")]),
    "a list": ("[1] see there", [Text("[1] see there")]),
    "a link": ("[now](http://x)", [Text("[now](http://x)")]),
    "words": ("now is the time", [Text("now is the time")]),
    "a call later in a line": ('so: weather(city="Oslo")', [Text('so: weather(city="Oslo")')]),
    "blocks after blocks": (
        "```python\nx\n```\n```json\n{}\n```", [Text("```python\nx\n```\n```json\n{}\n```")],
    ),
    "a block in a list": ("- x\n  ```\n  y\n  ```\n", [Text("- x\n  ```\n  y\n  ```\n")]),
    "ticks": ("`now` and ``x``", [Text("`now` and ``x``")]),
    "white space": (" \n ", [Text(" \n ")]),
}  # fmt: skip
MEANT = {
    "json cut off": '{"name": "weather", "parameters": {"city": "Os',
    "broken json in a block": '```json\n{"name": "weather", "parameters": {city "Oslo"}}\n```',
    "code that is more than calls": "```tool_code\nfor i in range(3): weather(city=i)\n```",
    "json of no call in a call's block": '```tool_call\n{"a": 1}\n```',
    "python cut off": 'weather(city="Os',
    "an unknown name in code": "```tool_code\nwether()\n```",
}


@pytest.mark.parametrize(("text", "pieces"), PROSE.values(), ids=PROSE)
def test_calls_in_text_are_found_where_they_were_meant(text: str, pieces: list[Piece]) -> None:
    for size in (1, 2, 5, 1000):
        assert read(text, None, size=size) == pieces


@pytest.mark.parametrize("text", MEANT.values(), ids=MEANT)
def test_calls_in_text_that_cannot_be_read_are_bad_calls(text: str) -> None:
    for size in (1, 1000):
        (bad,) = read(text, None, size=size)
        assert isinstance(bad, BadCall)
        assert bad.raw == text
        assert bad.problem


@pytest.mark.parametrize("text", [text for text, _ in PROSE.values()] + list(MEANT.values()))
def test_without_tools_text_is_text(text: str) -> None:
    assert read(text, None, ()) == [Text(text)]


_WORDS = st.sampled_from(
    [*GEMMA4_MARKS.call, *(GEMMA4_MARKS.thought or ()), '<|"|>', "call:", "weather", "now", "{", "}", "(", ")", "[",
     "]", "city", ":", "=", ",", "'", '"', "Oslo", " ", "\n", "`", "```", "```json\n", "\t", "```tool_code\n", "\n```",
     "thought\n", "final\n", "BEGIN_ARG:\n", "\nEND_ARG", '"name"', "\\", "é", "1", "null", "<unused49>"]
)  # fmt: skip


@given(
    st.lists(_WORDS, max_size=40).map("".join), st.sampled_from([GEMMA4_MARKS, None]), st.booleans(), st.integers(1, 7)
)
@settings(max_examples=1500, deadline=None)
def test_how_a_stream_is_cut_changes_nothing(spelled: str, marks: Marks | None, in_thought: bool, size: int) -> None:
    whole = read(spelled, marks, in_thought=in_thought)
    assert read(spelled, marks, in_thought=in_thought, size=size) == whole
    for piece in whole:
        assert not isinstance(piece, Text | Reasoning) or not SPELLED.search(piece.text)


@given(st.lists(_WORDS, max_size=40).map("".join))
@settings(max_examples=500, deadline=None)
def test_a_mark_for_a_call_always_gives_a_call_or_a_reason(spelled: str) -> None:
    pieces = read(gemma4(spelled.replace("<|tool_call>", "").replace("<tool_call|>", "")))
    assert any(isinstance(piece, ToolCall | BadCall) for piece in pieces)


_TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)
_NUMBERS = st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
_VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.from_regex(r"\A[a-z_]{1,8}\Z"), inner, max_size=3),
    max_leaves=8,
)
_CALLS = st.builds(
    ToolCall,
    st.sampled_from([tool.name for tool in TOOLS]),
    st.dictionaries(st.from_regex(r"\A[A-Za-z_]{1,8}\Z"), _VALUES, max_size=4),
)


def answer_of(template: ChatTemplate, message: Message) -> str:
    """What the model would have to write for the message, spelled."""
    segments = joined(template.write(Conversation((Message("user", "q"), message), TOOLS, answer=False)))
    spelled = "".join(part.spelling if isinstance(part, Mark) else part for part in segments)
    return spelled.rpartition("model\n")[2] if "model\n" not in message.text else spelled


@given(st.lists(_CALLS, min_size=1, max_size=3))
@settings(max_examples=300, deadline=None)
def test_calls_that_are_rendered_are_read_again(calls: list[ToolCall]) -> None:
    for template in (GEMMA4, FUNCTIONGEMMA, GEMMA3):
        message = Message("assistant", "", calls)
        segments = joined(template.write(Conversation((Message("user", "q"), message), TOOLS, answer=False)))
        start = max(i for i, part in enumerate(segments) if isinstance(part, str) and part.startswith("model\n"))
        reader = AnswerReader(template.marks, TOOLS)
        pieces: list[Piece] = []
        for part in (segments[start].removeprefix("model\n"), *segments[start + 1 :]):  # type: ignore[union-attr]
            if isinstance(part, Mark):
                pieces += reader.mark(part.spelling)
            elif part != "\n":
                pieces += reader.feed(part)
        assert [*pieces, *reader.finish()] == calls, template.name


@given(_VALUES)
@settings(max_examples=300, deadline=None)
def test_all_json_is_read_as_json_is(value: Any) -> None:
    assert Scanner(json.dumps(value)).value() == value
    assert Scanner(json.dumps(value, ensure_ascii=False, indent=1)).value() == value


def test_reading_has_bounds() -> None:
    with pytest.raises(UnreadableError, match="longer than"):
        read_calls("x" * (MAX_CHARACTERS + 1), TOOLS)
    with pytest.raises(UnreadableError, match="more than 64 calls"):
        read_calls("call:now{}" * (MAX_CALLS + 1), TOOLS)
    assert len(read_calls("call:now{}" * MAX_CALLS, TOOLS)) == MAX_CALLS
    assert QUOTE not in "".join(chr(code) for code in range(0xD7FF))
