"""Conversations as prompts: Gemma 3's turns for models taught to chat, a plain transcript for base models.

gemma3/1      <start_of_turn>user … <end_of_turn>, the control tokens put in here and nowhere else; token for token
              what the chat template of google/gemma-3-*-it gives (for text without control tokens in it)
transcript/1  "User: …" and "Assistant:", as any text; its stop strings end the answer where the model goes on to
              write the user's next line. It has no marks a user could not type: fit for trying, not for guarding.

System messages, which "developer" messages are too, have no turn of their own in Gemma 3: each goes, with an empty line
after it, in front of the next user message. Only a leading one is known to the reference; others follow the same rule.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from gemwright.errors import UnsupportedModel, UsageError
from gemwright.messages import Message
from gemwright.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class ChatTemplate:
    """How turns are written. `name` changes whenever any other field does.

    turn: open and close are control tokens if `marked`, otherwise text; {role} is the role's name here.
    """

    name: str
    marked: bool
    user: str
    assistant: str
    open: str
    after_role: str
    close: str
    between: str
    stop: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """Of the definition, for logs and for noticing a change."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


GEMMA3 = ChatTemplate("gemma3/1", True, "user", "model", "<start_of_turn>", "\n", "<end_of_turn>", "\n", ())
TRANSCRIPT = ChatTemplate("transcript/1", False, "User", "Assistant", "", ": ", "", "\n", ("\nUser:", "\nAssistant:"))


@dataclass(frozen=True)
class Prompt:
    """What to feed the model, and where its answer ends.

    tokens: <bos> included. stop: strings that end the answer, beside the tokens `Tokenizer.stop_ids`.
    template: the name of the template, to be shown with the answer.
    """

    tokens: tuple[int, ...]
    stop: tuple[str, ...]
    template: str


def render(messages: Sequence[Message], template: ChatTemplate, tokenizer: Tokenizer, *, answer: bool = True) -> Prompt:
    """The conversation as a prompt that ends where the assistant's answer begins; without `answer`, where it ended.

    Raises UsageError for no messages, roles that do not alternate between user and assistant, or a last message that
    leaves nothing to answer; UnsupportedModel if the vocabulary lacks the template's control tokens.
    """
    turns = _turns(messages)
    if answer and turns[-1].role == "assistant":
        raise UsageError("The last message is the assistant's.", hint="End with the user message to be answered.")
    write = _marked if template.marked else _plain
    parts = write(turns, template, tokenizer, answer)
    return Prompt((tokenizer.bos_id, *parts), template.stop, template.name)


@dataclass(frozen=True)
class _Turn:
    role: Literal["user", "assistant"]
    text: str
    system: str


def _turns(messages: Sequence[Message]) -> list[_Turn]:
    """User and assistant in alternation, each text stripped; system texts beside the user message they precede."""
    turns: list[_Turn] = []
    system = ""
    for place, message in enumerate(messages):
        if message.role in ("system", "developer"):
            system += message.content + "\n\n"
            continue
        expected = "assistant" if len(turns) % 2 else "user"
        if message.role == expected == "assistant" and system:
            expected = "user"
        if message.role != expected or (system and len(turns) % 2):
            raise UsageError(
                f"Message {place} is the {message.role}'s where the {expected}'s was due.",
                hint="After system messages, user and assistant take turns, beginning with the user.",
            )
        turns.append(_Turn("assistant" if message.role == "assistant" else "user", message.content.strip(), system))
        system = ""
    if system and turns:
        raise UsageError("The last message is a system message.", hint="A user message has to follow it.")
    if not turns:
        raise UsageError("The conversation has no user message.", hint="Add one: it is what is answered.")
    return turns


def _marked(turns: list[_Turn], template: ChatTemplate, tokenizer: Tokenizer, answer: bool) -> list[int]:
    open_id, close_id = (tokenizer.control_id(mark) for mark in (template.open, template.close))
    if open_id is None or close_id is None:
        raise UnsupportedModel(
            f"The vocabulary lacks {template.open} or {template.close} as control tokens, which {template.name} needs.",
            hint="Chat as a transcript instead.",
        )
    between = tokenizer.encode(template.between, bos=False)
    ids: list[int] = []
    for turn in turns:
        text = _role(turn, template) + template.after_role + turn.system + turn.text
        ids += [open_id, *tokenizer.encode(text, bos=False), close_id, *between]
    if answer:
        ids += [open_id, *tokenizer.encode(template.assistant + template.after_role, bos=False)]
    return ids


def _plain(turns: list[_Turn], template: ChatTemplate, tokenizer: Tokenizer, answer: bool) -> list[int]:
    lines = [turn.system + _role(turn, template) + template.after_role + turn.text for turn in turns]
    if answer:
        lines.append((template.assistant + template.after_role).rstrip())  # a space belongs to the first word's token
    return tokenizer.encode(template.between.join(lines), bos=False)


def _role(turn: _Turn, template: ChatTemplate) -> str:
    return template.user if turn.role == "user" else template.assistant
