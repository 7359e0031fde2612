"""A few conversations in which a template has to show everything it does: its hash is over what it writes for them."""

from __future__ import annotations

from dataclasses import replace

from gemwright.dialogue import Message, Tool, ToolCall
from gemwright.text.chat.template import ChatTemplate, Conversation

_HI = (Message("system", " Be brief. \n"), Message("user", " hi \n"))
_TALK = (*_HI, Message("assistant", " yes ", reasoning="hm"), Message("developer", "x"), Message("user", ("a ", " b")))
_CALLS = (
    ToolCall("find", {"text": 'a"b', "Where": ["x", {"y": None}]}, "1"),
    ToolCall("count", {"to": 3, "by": 0.5, "up": True}, "2"),
)
_ASKED = (Message("user", "find it"), Message("assistant", "", _CALLS, "let me see"))
_TOLD = (Message("tool", " found ", name="find"), Message("tool", {"value": 3, "ok": False}, name="count"))
_TOOLS = (
    Tool(
        "find",
        "Finds a text.",
        {
            "type": "object",
            "properties": {
                "text": {"type": "string", "description": "what"},
                "Where": {"type": "array", "items": {"type": "object", "properties": {"y": {"type": "null"}}}},
                "how": {"type": "string", "enum": ["fast", "slow"], "nullable": True},
                "deep": {"type": "object", "properties": {"z": {"type": "integer"}}, "required": ["z"]},
            },
            "required": ["text"],
        },
    ),
    Tool("count", "Counts."),
)


def probes(template: ChatTemplate) -> list[Conversation]:
    """Those that the template can write."""
    found = [Conversation(_HI), Conversation(_TALK), Conversation(_TALK[:3], answer=False)]
    if template.takes_tools:
        asked = (*_HI[:1], *_ASKED, *_TOLD)
        found += [Conversation(_HI[1:], _TOOLS), Conversation(asked, _TOOLS)]
        found += [Conversation((*asked, Message("assistant", "3"), Message("user", "ok")), _TOOLS)]
    if template.thinks:
        found += [replace(conversation, thinking=True) for conversation in found]
    return found
