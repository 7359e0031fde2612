"""Gemma 1 to 3n, and base models: users and assistants take turns, and that is all there is.

What these formats have no place for goes into the next user turn, as text. System messages, which "developer" messages
are too: each with an empty line after it, in front of the user's own words. The reference templates of Gemma 1 and 2
refuse them, those of Gemma 3 and 3n know a leading one and write it so. Tools and results: see `prompted`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from gemwright.dialogue import Message
from gemwright.errors import UsageError
from gemwright.text.chat import prompted
from gemwright.text.chat.template import ChatTemplate, Conversation, Mark, Segment


@dataclass(frozen=True)
class Turn:
    """text: stripped. system: what goes in front of it."""

    role: Literal["user", "assistant"]
    text: str
    system: str = ""
    is_result: bool = False


def write_marked(conversation: Conversation) -> list[Segment]:
    """Gemma 1 to 3n: <start_of_turn>user … <end_of_turn>, the system's text inside the turn."""
    segments: list[Segment] = []
    for turn in turns(conversation):
        role = "user" if turn.role == "user" else "model"
        segments += [Mark("<start_of_turn>"), f"{role}\n{turn.system}{turn.text}", Mark("<end_of_turn>"), "\n"]
    return [*segments, Mark("<start_of_turn>"), "model\n"] if conversation.answer else segments


def write_plain(conversation: Conversation) -> list[Segment]:
    """Base models: "User: …" and "Assistant:", as any text."""
    lines = [f"{turn.system}{turn.role.capitalize()}: {turn.text}" for turn in turns(conversation)]
    if conversation.answer:
        lines.append("Assistant:")  # without the space, which belongs to the first word's token
    return ["\n".join(lines)]


def turns(conversation: Conversation) -> list[Turn]:
    """User and assistant in alternation. Raises UsageError for roles that cannot be brought to that."""
    found: list[Turn] = []
    system = ""
    for place, message in enumerate(conversation.messages):
        if message.role in ("system", "developer"):
            system += message.text + "\n\n"
            continue
        role: Literal["user", "assistant"] = "assistant" if message.role == "assistant" else "user"
        if not system and found and found[-1].is_result and role == "user":  # results go together, and with a question
            text = f"{found[-1].text}\n{_text(message)}"
            found[-1] = replace(found[-1], text=text, is_result=message.role == "tool")
            continue
        expected = "assistant" if len(found) % 2 and not (role == "assistant" and system) else "user"
        if role != expected or (system and len(found) % 2):
            raise UsageError(
                f"Message {place} is the {message.role}'s where the {expected}'s was due.",
                hint="After system messages, user and assistant take turns, beginning with the user.",
            )
        if not found and conversation.tools:
            system += prompted.instructions(conversation.tools) + "\n\n"
        found.append(Turn(role, _text(message), system, is_result=message.role == "tool"))
        system = ""
    if system and found:
        raise UsageError("The last message is a system message.", hint="A user message has to follow it.")
    return found


def _text(message: Message) -> str:
    if message.role == "tool":
        return prompted.result(message)
    text = "".join(part.strip() for part in message.parts)
    if not message.tool_calls:
        return text
    calls = prompted.calls(message.tool_calls)
    return f"{text}\n{calls}" if text else calls


GEMMA = ChatTemplate("gemma/1", write_marked)
"""Gemma 1, 1.1, 2 and their kin."""
GEMMA3 = ChatTemplate("gemma3/1", write_marked)
GEMMA3N = ChatTemplate("gemma3n/1", write_marked)
TRANSCRIPT = ChatTemplate(
    "transcript/1", write_plain, marked=False, takes_tools=False, stop=("\nUser:", "\nAssistant:")
)
"""It has no marks a user could not type: fit for trying, not for guarding. Its stop strings end the answer where the
model goes on to write the user's next line."""
