"""Messages, tools and calls: what cannot be is refused when it is made, and what is given is copied."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gemwright.dialogue import MAX_DEPTH, Message, Tool, ToolCall, as_messages, as_tools, json_copy
from gemwright.errors import UsageError

CALL = {"type": "function", "id": "c1", "function": {"name": "f", "arguments": {"x": 1}}}


def test_messages_may_have_openai_s_forms() -> None:
    messages = as_messages(
        [
            {"role": "user", "content": [{"type": "text", "text": "a"}, "b"]},
            {"role": "assistant", "content": None, "tool_calls": [CALL, {"name": "g"}]},
            {"role": "tool", "content": {"y": [1, None]}, "call_id": "c1"},
        ]
    )
    assert messages == [
        Message("user", ("a", "b")),
        Message("assistant", "", (ToolCall("f", {"x": 1}, "c1"), ToolCall("g"))),
        Message("tool", {"y": [1, None]}, call_id="c1"),
    ]
    assert messages[0].text == "ab"
    assert messages[2].parts == ()


def test_tools_may_have_openai_s_form() -> None:
    function = {"name": "f", "description": None, "parameters": {"properties": {"x": {"type": "string"}}}}
    tools = as_tools([{"type": "function", "function": function}, Tool("g")])
    assert tools == (Tool("f", "", {"type": "object", "properties": {"x": {"type": "string"}}}), Tool("g"))
    assert tools[1].parameters == {}


def test_what_is_given_is_copied() -> None:
    arguments: dict[str, Any] = {"x": [1]}
    call = ToolCall("f", arguments)
    arguments["x"].append(2)
    assert call.arguments == {"x": [1]}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Message("user", {"a": 1}), "must be text, or parts"),
        (lambda: Message("user", ["a", 1]), "must be text, or parts"),  # type: ignore[list-item]
        (lambda: Message("user", "a", [ToolCall("f")]), "only the assistant's"),
        (lambda: Message("system", "a", reasoning="b"), "only the assistant's"),
        (lambda: Message("user", "a", name="f"), "only a tool's result"),
        (lambda: Message("assistant", "", ["f"]), "not ToolCall values"),  # type: ignore[list-item]
        (lambda: Message("assistant", "", reasoning=None), "must be text"),  # type: ignore[arg-type]
        (lambda: Message("tool", {"a": {1}}), "nothing that JSON can hold"),
        (lambda: ToolCall("a b"), "name 'a b'"),
        (lambda: ToolCall("f", [1]), "not an object"),  # type: ignore[arg-type]
        (lambda: ToolCall("f", {"x": math.nan}), "nothing that JSON can hold"),
        (lambda: ToolCall("f", {1: 2}), "key is not a string"),  # type: ignore[dict-item]
        (lambda: Tool(""), "name ''"),
        (lambda: Tool("f" * 200), "it must be letters"),
        (lambda: Tool("f", 3), "must be text"),  # type: ignore[arg-type]
        (lambda: Tool("f", "", "x"), "not a JSON schema"),  # type: ignore[arg-type]
        (lambda: Tool("f", "", {"type": "string"}), "not an object"),
        (lambda: Tool("f", "", {"properties": []}), "not an object of JSON schemas"),
        (lambda: Tool("f", "", {"properties": {"x": 1}}), "not an object of JSON schemas"),
        (lambda: as_tools([{}]), "its 'name'"),
        (lambda: as_tools([{"name": "f", "returns": 1}]), "which no template knows"),
        (lambda: as_tools([Tool("f"), Tool("f")]), "Two tools"),
        (lambda: as_tools([Tool(f"f{n}") for n in range(300)]), "at most 256"),
        (lambda: as_messages([{"role": "assistant", "content": "", "tool_calls": [3]}]), "must be a ToolCall"),
        (
            lambda: as_messages(
                [{"role": "assistant", "content": "", "tool_calls": [{"name": "f", "arguments": "{}"}]}]
            ),
            "not an object",
        ),
        (lambda: as_messages([{"role": "user", "content": None}]), "NoneType"),
    ],
)
def test_what_cannot_be_is_refused(make: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make()


def test_json_may_be_deep_but_not_endlessly() -> None:
    def nested(depth: int) -> Any:
        return [nested(depth - 1)] if depth else 1

    assert json_copy("x", nested(MAX_DEPTH)) == nested(MAX_DEPTH)
    with pytest.raises(UsageError, match="more than 32 deep"):
        json_copy("x", nested(MAX_DEPTH + 1))
