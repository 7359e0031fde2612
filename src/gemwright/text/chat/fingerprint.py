"""A hash of what a template does: over what it writes for a few conversations in which it has to show everything."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

from gemwright.dialogue import Message, Tool, ToolCall
from gemwright.text.chat.template import ChatTemplate, Conversation, joined

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


def fingerprint(template: ChatTemplate) -> str:
    """SHA-256 in hexadecimal digits, for logs and for noticing a change. A new one means a new number in the name."""
    written = [
        [part if isinstance(part, str) else [part.spelling] for part in joined(template.write(conversation))]
        for conversation in _probes(template)
    ]
    return hashlib.sha256(json.dumps([template.name, template.stop, written]).encode()).hexdigest()


def _probes(template: ChatTemplate) -> list[Conversation]:
    """Those that the template has a form for."""
    found = [Conversation(_HI), Conversation(_TALK), Conversation(_TALK[:3], answer=False)]
    if template.takes_tools:
        asked = (*_HI[:1], *_ASKED, *_TOLD)
        found += [Conversation(_HI[1:], _TOOLS), Conversation(asked, _TOOLS)]
        found += [Conversation((*asked, Message("assistant", "3"), Message("user", "ok")), _TOOLS)]
    if template.thinks:
        found += [replace(conversation, thinking=True) for conversation in found]
    return found
