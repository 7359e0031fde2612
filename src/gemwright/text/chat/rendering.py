"""A conversation as the tokens of a prompt: checked, written by the template, marks put in where it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from gemwright.dialogue import Message, Tool
from gemwright.errors import UnsupportedModel, UsageError
from gemwright.text.chat.template import ChatTemplate, Conversation, Mark, Prompt, Segment, joined


class Encoder(Protocol):
    """What is needed here of `gemwright.text.tokenizer.Tokenizer`."""

    @property
    def bos_id(self) -> int: ...
    def control_id(self, spelling: str, /) -> int | None: ...
    def encode(self, text: str, /, *, bos: bool = True) -> list[int]: ...


def render(
    messages: Sequence[Message],
    template: ChatTemplate,
    tokenizer: Encoder,
    *,
    answer: bool = True,
    tools: Sequence[Tool] = (),
    thinking: bool = False,
) -> Prompt:
    """The conversation as a prompt that ends where the assistant's answer begins; without `answer`, where it ended.

    Raises UsageError for no user message, roles in an order the template has no form for, a last message that leaves
    nothing to answer, a result of no call, and tools or thinking where the model was taught no such thing;
    UnsupportedModel if the vocabulary lacks the template's control tokens.
    """
    if thinking and not template.thinks:
        raise UsageError(f"Models of the format {template.name} have no channel for thoughts.", hint="Gemma 4 has one.")
    if tools and not template.takes_tools:
        raise UsageError(
            "A base model cannot be given tools: it was not taught to call any.",
            hint="Load a model tuned to chat (-it).",
        )
    named = _named(messages)
    segments = joined(template.write(Conversation(named, tuple(tools), thinking, answer))) if named else []
    if not any(message.role == "user" for message in named):
        raise UsageError("The conversation has no user message.", hint="Add one: it is what is answered.")
    if answer:
        _check_last(named[-1])
    tokens = [tokenizer.bos_id]
    for segment in segments:
        tokens += (
            [_id(segment, template, tokenizer)] if isinstance(segment, Mark) else tokenizer.encode(segment, bos=False)
        )
    return Prompt(tuple(tokens), template.stop, template.name, in_thought=_in_thought(segments, template))


def _check_last(last: Message) -> None:
    if last.role == "assistant" and last.tool_calls:
        raise UsageError("The last message's calls have no results.", hint="Add a message of role tool for each.")
    if last.role == "assistant":
        raise UsageError("The last message is the assistant's.", hint="End with the user message to be answered.")
    if last.role in ("system", "developer"):
        raise UsageError("The last message is a system message.", hint="A user message has to follow it.")


def _named(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The messages, each result with the name of the function it is of: by name, by call_id, or in the calls' order."""
    found: list[Message] = []
    calls: list[tuple[str, str]] = []
    for place, message in enumerate(messages):
        if message.role != "tool":
            calls = [(call.name, call.id) for call in message.tool_calls]
            found.append(message)
            continue
        fitting = [
            call
            for call in calls
            if message.name in ("", call[0]) and (not message.call_id or message.call_id == call[1])
        ]
        if not fitting:
            raise UsageError(
                f"Message {place} is the result of a call that was not made.",
                hint="Results follow the assistant's message with the calls, one for each, by name or call_id.",
            )
        calls.remove(fitting[0])
        found.append(replace(message, name=fitting[0][0]))
    return tuple(found)


def _in_thought(segments: Sequence[Segment], template: ChatTemplate) -> bool:
    marks = template.marks
    if marks is None or marks.thought is None:
        return False
    own = [segment for segment in segments if isinstance(segment, Mark) and segment.spelling in marks.thought]
    return bool(own) and own[-1].spelling == marks.thought[0]


def _id(mark: Mark, template: ChatTemplate, tokenizer: Encoder) -> int:
    id = tokenizer.control_id(mark.spelling)
    if id is None:
        raise UnsupportedModel(
            f"The vocabulary lacks the control token {mark.spelling}, which {template.name} needs.",
            hint="Chat as a transcript instead.",
        )
    return id
