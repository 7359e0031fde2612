"""Pure values of a conversation: messages, tools, calls, the pieces of an answer. No behaviour but validation.

Everything here takes a copy of the mappings it is given and checks that they are JSON: what a model is told about a
tool, or tells one, has to be writable in every template.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from gemwright.errors import UsageError

Role = Literal["system", "developer", "user", "assistant", "tool"]

MAX_DEPTH = 32
"""Lists and objects inside one another in a tool's schema, a call's arguments or a result."""
MAX_TOOLS = 256
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:/-]{0,127}")
_MESSAGE_KEYS = {"role", "content", "tool_calls", "reasoning", "name", "call_id"}


@dataclass(frozen=True)
class Tool:
    """A function the model may ask to be called. Nothing here calls it.

    parameters: JSON schema of an object, {"type": "object", "properties": {…}, "required": […]}; {} for none.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_name("A tool", self.name)
        _check_text(f"The description of the tool {self.name}", self.description)
        if not isinstance(self.parameters, Mapping):
            raise UsageError(f"The parameters of the tool {self.name} are {self.parameters!r:.80}: not a JSON schema.")
        parameters = json_copy(f"The parameters of the tool {self.name}", self.parameters)
        if parameters and parameters.setdefault("type", "object") not in ("object", "OBJECT"):
            raise UsageError(
                f"The parameters of the tool {self.name} are of type {parameters['type']!r}: not an object."
            )
        properties = parameters.get("properties", {})
        if not isinstance(properties, dict) or not all(isinstance(schema, dict) for schema in properties.values()):
            raise UsageError(f"The properties of the tool {self.name} are not an object of JSON schemas.")
        object.__setattr__(self, "parameters", parameters)

    @property
    def properties(self) -> Mapping[str, Any]:
        """The schema of each parameter."""
        return self.parameters.get("properties", {})  # type: ignore[no-any-return]


@dataclass(frozen=True)
class ToolCall:
    """What a model wants called. arguments: by parameter's name, JSON values. id: the caller's own, or ""."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""

    def __post_init__(self) -> None:
        _check_name("A call", self.name)
        _check_text("The id of a call", self.id)
        if not isinstance(self.arguments, Mapping):
            raise UsageError(f"The arguments of {self.name} are {self.arguments!r:.80}: not an object.")
        object.__setattr__(self, "arguments", json_copy(f"The arguments of {self.name}", self.arguments))


@dataclass(frozen=True)
class BadCall:
    """A call that a model meant to make and wrote wrongly. raw: all of it, marks spelled out. problem: a sentence."""

    raw: str
    problem: str


@dataclass(frozen=True)
class Text:
    """A piece of the answer itself."""

    text: str


@dataclass(frozen=True)
class Reasoning:
    """A piece of what the model thought aloud before its answer."""

    text: str


Piece = Text | Reasoning | ToolCall | BadCall
"""What an answer consists of, in the order it came."""


@dataclass(frozen=True)
class Message:
    """One turn of a conversation.

    role: "developer" is another word for "system"; "tool" gives the result of a call.
    content: a text, or several parts of one; a tool's result may be a JSON object.
    tool_calls, reasoning: of an assistant, what it called and thought. Old thoughts are left out of prompts where the
    model was taught so.
    name, call_id: of a tool, which function or which call the result is of; without them the calls' order decides.
    """

    role: Role
    content: str | Sequence[str] | Mapping[str, Any] = ""
    tool_calls: Sequence[ToolCall] = ()
    reasoning: str = ""
    name: str = ""
    call_id: str = ""

    def __post_init__(self) -> None:
        if self.role not in get_args(Role):
            raise UsageError(f"A message has the role {self.role!r}: it must be one of {', '.join(get_args(Role))}.")
        content = self.content
        if isinstance(content, Mapping) and self.role == "tool":
            object.__setattr__(self, "content", json_copy("The result of a tool", content))
        elif isinstance(content, (list, tuple)) and all(isinstance(part, str) for part in content):
            object.__setattr__(self, "content", tuple(content))
        elif not isinstance(content, str):
            raise UsageError(
                f"The content of a {self.role} message is {type(content).__name__}: it must be text, or parts of text."
            )
        for what, value in (("reasoning", self.reasoning), ("name", self.name), ("call_id", self.call_id)):
            _check_text(f"The {what} of a message", value)
        if isinstance(self.tool_calls, str) or not all(isinstance(call, ToolCall) for call in self.tool_calls):
            raise UsageError("The tool_calls of a message are not ToolCall values.")
        object.__setattr__(self, "tool_calls", tuple(self.tool_calls))
        if self.role != "assistant" and (self.tool_calls or self.reasoning):
            raise UsageError(f"A {self.role} message has tool_calls or reasoning: only the assistant's has.")
        if self.role != "tool" and (self.name or self.call_id):
            raise UsageError(f"A {self.role} message has a name or call_id: only a tool's result has.")

    @property
    def parts(self) -> tuple[str, ...]:
        """The content as parts of text; () for a tool's JSON object."""
        if isinstance(self.content, str):
            return (self.content,)
        return self.content if isinstance(self.content, tuple) else ()

    @property
    def text(self) -> str:
        """The parts of the content, joined."""
        return "".join(self.parts)


def as_messages(turns: Iterable[Message | Mapping[str, Any]]) -> list[Message]:
    """Messages as they are, and dictionaries as messages: "role" and "content", and the other fields of `Message`.

    Calls and parts of the content may have OpenAI's form: {"type": "function", "id": …, "function": {"name": …,
    "arguments": {…}}} and {"type": "text", "text": …}. Arguments have to be an object, not a string of JSON.
    """
    return [turn if isinstance(turn, Message) else _message(turn) for turn in turns]


def as_tools(tools: Iterable[Tool | Mapping[str, Any]]) -> tuple[Tool, ...]:
    """Tools as they are, and dictionaries of name, description and parameters, or of OpenAI's form around that."""
    found = tuple(tool if isinstance(tool, Tool) else _tool(tool) for tool in tools)
    names = [tool.name for tool in found]
    if len(set(names)) < len(names):
        raise UsageError(f"Two tools have the name {next(name for name in names if names.count(name) > 1)!r}.")
    if len(found) > MAX_TOOLS:
        raise UsageError(f"There are {len(found)} tools: at most {MAX_TOOLS} are possible.")
    return found


def json_copy(what: str, value: Any, depth: int = MAX_DEPTH) -> Any:
    """`value` copied. Raises UsageError for anything JSON has no word for, or more than `depth` deep."""
    if value is None or isinstance(value, (str, bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, (Mapping, list, tuple)) and depth == 0:
        raise UsageError(f"{what}: lists and objects lie more than {MAX_DEPTH} deep.")
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise UsageError(f"{what}: a key is not a string.")
        return {key: json_copy(what, item, depth - 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_copy(what, item, depth - 1) for item in value]
    raise UsageError(f"{what}: {value!r:.80} is nothing that JSON can hold.")


def _message(turn: Mapping[str, Any]) -> Message:
    if not isinstance(turn, Mapping) or not {"role"} < set(turn) <= _MESSAGE_KEYS:
        shown = sorted(map(str, turn)) if isinstance(turn, Mapping) else type(turn).__name__
        raise UsageError(f"A message is {shown}: it must be a Message, or a dictionary of 'role' and 'content'.")
    fields = dict(turn)
    if fields.get("content") is None and fields.get("tool_calls"):
        fields["content"] = ""  # as OpenAI has it beside calls
    if isinstance(fields.get("content"), (list, tuple)):
        fields["content"] = tuple(_part(part) for part in fields["content"])
    if "tool_calls" in fields:
        fields["tool_calls"] = tuple(_call(call) for call in fields["tool_calls"] or ())
    return Message(**fields)


def _part(part: Any) -> Any:
    return part["text"] if isinstance(part, Mapping) and set(part) == {"type", "text"} else part


def _call(call: Any) -> ToolCall:
    if isinstance(call, ToolCall):
        return call
    inner = call.get("function", call) if isinstance(call, Mapping) else None
    if not isinstance(inner, Mapping) or not {"name"} <= set(inner) <= {"name", "arguments", "id"}:
        raise UsageError(f"A call is {call!r:.80}: it must be a ToolCall, or a dictionary of 'name' and 'arguments'.")
    return ToolCall(inner["name"], inner.get("arguments") or {}, call.get("id") or "")


def _tool(tool: Any) -> Tool:
    inner = tool.get("function", tool) if isinstance(tool, Mapping) else None
    if not isinstance(inner, Mapping) or "name" not in inner:
        raise UsageError(f"A tool is {tool!r:.80}: it must be a Tool, or a dictionary with its 'name'.")
    if extra := set(inner) - {"name", "description", "parameters", "strict", "type"}:
        raise UsageError(
            f"The tool {inner['name']!r} has {', '.join(sorted(map(str, extra)))}, which no template knows."
        )
    return Tool(inner["name"], inner.get("description") or "", inner.get("parameters") or {})


def _check_name(what: str, name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(f"{what} has the name {name!r:.150}: it must be letters, digits and _ . : / - after a letter.")


def _check_text(what: str, value: object) -> None:
    if not isinstance(value, str):
        raise UsageError(f"{what} is {type(value).__name__}: it must be text.")
