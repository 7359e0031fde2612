"""What a chat template is: a function from a conversation to text and marks, with a name and a version."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from gemwright.dialogue import Message, Tool


@dataclass(frozen=True)
class Mark:
    """A control token, by its spelling. Marks come from templates alone: no text of a user is ever one."""

    spelling: str


Segment: TypeAlias = "str | Mark"


@dataclass(frozen=True)
class Conversation:
    """What a template writes.

    messages: checked, each tool's result with the name of its function. answer: whether the model is to speak next.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    thinking: bool = False
    answer: bool = True


@dataclass(frozen=True)
class Marks:
    """The control tokens around calls and thoughts, (begin, end) each. quote: on both sides of a string."""

    declaration: tuple[str, str]
    call: tuple[str, str]
    response: tuple[str, str]
    quote: str
    thought: tuple[str, str] | None = None


@dataclass(frozen=True)
class ChatTemplate:
    """How conversations are written. The number in `name` changes whenever anything that is written does.

    write: the conversation without <bos>; raises UsageError for one that it has no form for.
    marked: whether turns begin and end with control tokens, which a user cannot type.
    takes_tools: whether tools can be told. marks: the control tokens for that and for thoughts; None if calls are text.
    stop: strings that end an answer, besides the vocabulary's end tokens.
    """

    name: str
    write: Callable[[Conversation], list[Segment]]
    marked: bool = True
    takes_tools: bool = True
    marks: Marks | None = None
    stop: tuple[str, ...] = ()

    @property
    def thinks(self) -> bool:
        """Whether models of this format were taught a channel for thoughts."""
        return self.marks is not None and self.marks.thought is not None


@dataclass(frozen=True)
class Prompt:
    """What to feed the model, and where its answer ends.

    tokens: <bos> included, once. stop: strings that end the answer, beside the tokens `Tokenizer.stop_ids`.
    template: the name of the template, to be shown with the answer.
    in_thought: whether the prompt ends inside a thought, which the answer therefore begins with.
    """

    tokens: tuple[int, ...]
    stop: tuple[str, ...]
    template: str
    in_thought: bool = False


def joined(segments: Sequence[Segment]) -> list[Segment]:
    """The same with neighbouring texts as one, and no empty ones: texts are made tokens in one go."""
    result: list[Segment] = []
    for segment in segments:
        if isinstance(segment, str) and result and isinstance(result[-1], str):
            result[-1] += segment
        elif segment:
            result.append(segment)
    return result
