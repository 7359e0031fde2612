"""What stands between the marks of a call, or in a block of code, as calls: the forms models are taught, and drift to.

    call:name{key:<|"|>value<|"|>}           as taught (FunctionGemma, Gemma 4)
    call:name(key=value), name(value)        Python's form; print(name(…)) and a list [a(), b()] around it
    call:ns:mcp:name{…}, default_api.name()  a declared name behind others, if it is the only one that fits
    call:name:\\nBEGIN_ARG:\\n…\\nEND_ARG        values by position
    {"name": …, "arguments": {…}}, [{…}]     JSON, with "parameters" or "args" as well, and OpenAI's {"function": …}

Several calls may follow one another. Values without a name get the names of the tool's parameters, in their order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from gemwright.dialogue import Tool, ToolCall
from gemwright.errors import UsageError
from gemwright.text.calls.values import Scanner, UnreadableError

MAX_CHARACTERS = 1 << 20
"""Of one payload."""
MAX_CALLS = 64
"""In one payload."""

_HEAD = re.compile(r"(?:call\s*:|[:-])?\s*")
_NAME = re.compile(r"[A-Za-z_](?:[A-Za-z0-9_.:/-]*[A-Za-z0-9_])?")
_BLOCK = re.compile(r"\s*BEGIN_ARG:?[ \t]*\n?(.*?)\n?END_ARG", re.DOTALL)
_BETWEEN = re.compile(r"[\s,;]*")
_PARTS = re.compile(r"[.:/]")
_ARGUMENTS = ("arguments", "parameters", "args")


class NoCallError(Exception):
    """The text is sound, but it does not call anything: JSON of another kind."""


def read_calls(payload: str, tools: Sequence[Tool]) -> list[ToolCall]:
    """At least one call. Raises UnreadableError (it was to be a call and is not) or NoCallError."""
    if len(payload) > MAX_CHARACTERS:
        raise UnreadableError(f"It is longer than {MAX_CHARACTERS:,} characters.")
    scanner = Scanner(payload)
    calls: list[ToolCall] = []
    scanner.match(_BETWEEN)
    while scanner.peek():
        calls += _some(scanner, tools)
        if len(calls) > MAX_CALLS:
            raise UnreadableError(f"It makes more than {MAX_CALLS} calls.")
        scanner.match(_BETWEEN)
    if not calls:
        raise UnreadableError("It is empty.")
    return calls


def declared(name: str, tools: Sequence[Tool]) -> Tool | None:
    """The tool of that name, or else the only one whose name comes last in it after a ":", "." or "/"."""
    exact = [tool for tool in tools if tool.name == name]
    if exact:
        return exact[0]
    ends = {name[cut.end() :] for cut in _PARTS.finditer(name)}
    fitting = [tool for tool in tools if tool.name in ends]
    return fitting[0] if len(fitting) == 1 else None


def _some(scanner: Scanner, tools: Sequence[Tool]) -> list[ToolCall]:
    if scanner.peek() == "{":
        return _from_json(scanner.value(), tools)
    if scanner.peek() == "[":
        return _from_list(scanner, tools)
    return [_written(scanner, tools)]


def _from_list(scanner: Scanner, tools: Sequence[Tool]) -> list[ToolCall]:
    """[{"name": …}] or [name(…), name(…)]."""
    begin = scanner.at
    scanner.at += 1
    scanner.skip()
    if scanner.peek() in ("{", "]"):
        scanner.at = begin
        return _from_json(scanner.value(), tools)
    calls = []
    while True:
        calls.append(_written(scanner, tools))
        scanner.match(_BETWEEN)
        if scanner.take("]"):
            return calls
        if not scanner.peek():
            raise UnreadableError("The end is missing.")


def _written(scanner: Scanner, tools: Sequence[Tool]) -> ToolCall:
    """call:name{…}, name(…) and their kin."""
    scanner.match(_HEAD)
    name = scanner.match(_NAME)
    if not name:
        raise UnreadableError("There is no name of a function.")
    scanner.skip()
    if scanner.peek() == "(" and name == "print" and declared(name, tools) is None:
        scanner.at += 1
        call = _written(scanner, tools)
        scanner.skip()
        if not scanner.take(")"):
            raise UnreadableError("The end is missing.")
        return call
    if scanner.peek() in ("{", "("):
        close = "}" if scanner.peek() == "{" else ")"
        named, unnamed = scanner.pairs(close, positional=close == ")")
        return _call(name, named, unnamed, tools)
    scanner.take(":")
    blocks = []
    while found := _BLOCK.match(scanner.text, scanner.at):
        blocks.append(found.group(1))
        scanner.at = found.end()
    scanner.skip()
    if not blocks and scanner.peek():
        raise UnreadableError(f"The name {name!r:.80} is not followed by arguments.")
    return _call(name, {}, blocks, tools)


def _from_json(value: Any, tools: Sequence[Tool]) -> list[ToolCall]:
    if isinstance(value, list):
        if not value:
            raise NoCallError
        return [call for item in value for call in _from_json(item, tools)]
    inner = value.get("function", value) if isinstance(value, Mapping) else None
    if isinstance(inner, str) and isinstance(value, Mapping):
        inner = {**value, "name": inner}
    if not isinstance(inner, Mapping) or not isinstance(inner.get("name"), str):
        raise NoCallError
    keys = [key for key in _ARGUMENTS if key in inner]
    if not keys and declared(inner["name"], tools) is None:
        raise NoCallError
    arguments = inner[keys[0]] if keys else {}
    if isinstance(arguments, str):
        arguments = Scanner(arguments).value()
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, Mapping):
        raise UnreadableError("The arguments are not an object.")
    return [_call(inner["name"], arguments, [], tools)]


def _call(name: str, named: Mapping[str, Any], unnamed: Sequence[Any], tools: Sequence[Tool]) -> ToolCall:
    tool = declared(name, tools)
    if tool is None:
        raise UnreadableError(f"There is no tool {name!r:.150}.")
    arguments = dict(named)
    free = [parameter for parameter in tool.properties if parameter not in named]
    if len(unnamed) > len(free):
        raise UnreadableError(f"There are more values than {tool.name} has parameters.")
    arguments.update(zip(free, unnamed, strict=False))
    try:
        return ToolCall(tool.name, arguments)
    except UsageError as error:
        raise UnreadableError(str(error)) from error
