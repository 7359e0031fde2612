"""Tools for models without control tokens for them (Gemma 1 to 3n): described and asked for in words.

The model is shown the tools as JSON and told to answer with {"name": …, "parameters": {…}}, the object that Google's
guide to function calling with Gemma 3 uses (ai.google.dev/gemma/docs/capabilities/function-calling). Nothing enforces
it, so what comes back is looked for in the text, in all the forms such models write (`gemwright.text.calls`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from gemwright.dialogue import Message, Tool, ToolCall

_HOW = (
    "You can call functions. To call one or more of them, answer with nothing but a JSON list of calls in this form:\n"
    '```json\n[{"name": "function name", "parameters": {"parameter name": "value"}}]\n```\n'
    "Call only functions listed here, and only when the answer needs one. The results come in the next turn.\n"
)


def instructions(tools: Sequence[Tool]) -> str:
    """What a model has to know in order to call `tools`."""
    described = [{"name": t.name, "description": t.description, "parameters": t.parameters} for t in tools]
    return f"{_HOW}{_json(described)}"


def calls(made: Sequence[ToolCall]) -> str:
    """Calls in the form the instructions ask for."""
    return f"```json\n{_json([{'name': call.name, 'parameters': call.arguments} for call in made])}\n```"


def result(message: Message) -> str:
    """The result of a call. It is one line of JSON, so that nothing in it can end the block it stands in."""
    content = message.content if not message.parts else message.text
    return f"```tool_output\n{_json({'name': message.name, 'result': content})}\n```"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
