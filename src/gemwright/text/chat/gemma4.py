"""Gemma 4: roles of its own for the system, a channel for thoughts, tools in control tokens.

Source: Google's canonical chat template of 2026-07-09, whose two variants differ in how an answer without thoughts
begins: 12B, 26B and 31B are given a thought that is empty already (gemma4/1), E2B and E4B nothing (gemma4e/1).

- The first message, if it is the system's or developer's, opens a system turn together with the switch for thinking and
  the tools. Later ones are turns of their own, under their own role.
- What follows one another of the assistant's is one turn, and results of calls stand inside it.
- Thoughts stay in a prompt only after the last user message, where they led to the calls that are being answered.
- After results, with thinking on, the prompt itself opens the next thought.
- A text beside calls stands before them, as it was written. (The reference puts it after the results and closes the
  turn, which leaves no turn open to answer in.)
"""

from __future__ import annotations

from collections.abc import Sequence

from gemwright.dialogue import Message
from gemwright.text.chat.template import ChatTemplate, Conversation, Mark, Marks, Segment
from gemwright.text.chat.values import Values

MARKS = Marks(
    declaration=("<|tool>", "<tool|>"),
    call=("<|tool_call>", "<tool_call|>"),
    response=("<|tool_response>", "<tool_response|>"),
    quote='<|"|>',
    thought=("<|channel>", "<channel|>"),
)
_VALUES = Values(MARKS.quote, always_describe=False)
_OPEN, _CLOSE, _THINK = Mark("<|turn>"), Mark("<turn|>"), Mark("<|think|>")
_THOUGHT, _END_OF_THOUGHT = Mark("<|channel>"), Mark("<channel|>")
_SYSTEM = ("system", "developer")


def write(conversation: Conversation) -> list[Segment]:
    """As E2B and E4B were taught."""
    head, messages = _head(conversation)
    last_user = max((i for i, message in enumerate(messages) if message.role == "user"), default=-1)
    segments = head
    for index, message in enumerate(messages):
        if message.role != "tool":
            segments += _turn(messages, index, keep_thought=index > last_user)
    if not conversation.answer:
        return segments
    if conversation.messages[-1].role != "tool":
        return [*segments, _OPEN, "model\n"]
    return [*segments, _THOUGHT, "thought\n"] if conversation.thinking else segments


def write_with_empty_thought(conversation: Conversation) -> list[Segment]:
    """As 12B, 26B and 31B were taught: an answer without thinking begins after an empty thought."""
    segments = write(conversation)
    begins = conversation.answer and conversation.messages[-1].role != "tool"
    return [*segments, _THOUGHT, "thought\n", _END_OF_THOUGHT] if begins and not conversation.thinking else segments


def _head(conversation: Conversation) -> tuple[list[Segment], Sequence[Message]]:
    """The system turn, if there is reason for one, and the messages that are not in it."""
    messages = conversation.messages
    first = messages[0] if messages[0].role in _SYSTEM else None
    if not (first or conversation.tools or conversation.thinking):
        return [], messages
    segments: list[Segment] = [_OPEN, "system\n"]
    if conversation.thinking:
        segments += [_THINK, "\n"]
    if first:
        one = isinstance(first.content, str)
        segments += [first.text.strip()] if one else [part.strip() + " " for part in first.parts]
    for tool in conversation.tools:
        segments += [Mark(MARKS.declaration[0]), *_VALUES.declaration(tool), Mark(MARKS.declaration[1])]
    return [*segments, _CLOSE, "\n"], messages[1:] if first else messages


def _turn(messages: Sequence[Message], index: int, *, keep_thought: bool) -> list[Segment]:
    """One message that is not a tool's, with the results of its calls."""
    message = messages[index]
    results = _results(messages, index)
    before = next((m for m in reversed(messages[:index]) if m.role != "tool"), None)
    after = next((m for m in messages[index + 1 :] if m.role != "tool"), None)
    is_model = message.role == "assistant"
    segments: list[Segment] = []
    if not (is_model and before and before.role == "assistant"):
        segments += [_OPEN, f"{'model' if is_model else message.role}\n"]
    if message.reasoning and keep_thought:
        segments += [_THOUGHT, f"thought\n{message.reasoning}\n", _END_OF_THOUGHT]
    segments.append("".join(part.strip() for part in message.parts))
    for call in message.tool_calls:
        segments += [Mark(MARKS.call[0]), *_VALUES.call(call), Mark(MARKS.call[1])]
    for result in results:
        segments += [Mark(MARKS.response[0]), *_VALUES.response(result), Mark(MARKS.response[1])]
    if message.tool_calls and not results:
        return [*segments, Mark(MARKS.response[0])]
    goes_on = is_model and after is not None and after.role == "assistant"
    awaits_more = results and after is None
    return segments if goes_on or awaits_more else [*segments, _CLOSE, "\n"]


def _results(messages: Sequence[Message], index: int) -> list[Message]:
    found: list[Message] = []
    for message in messages[index + 1 :]:
        if message.role != "tool":
            break
        found.append(message)
    return found


GEMMA4 = ChatTemplate("gemma4/1", write_with_empty_thought, marks=MARKS)
GEMMA4E = ChatTemplate("gemma4e/1", write, marks=MARKS)
