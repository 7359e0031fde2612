"""Conversations as prompts: the reference's tokens, roles that alternate, turns nobody can forge."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemwright.errors import UnsupportedModel, UsageError
from gemwright.messages import Message, Role
from gemwright.text.chat import GEMMA3, TEMPLATES, TRANSCRIPT, fingerprint, render
from gemwright.text.tokenizer import Tokenizer
from unit.text.toy import CONTROL, Toy, raw_pieces

TOY = Toy.of()
TOKENIZER = Tokenizer.from_pieces(TOY.pieces())


def conversation(*turns: tuple[Role, str]) -> list[Message]:
    return [Message(role, content) for role, content in turns]


def spelled(messages: list[Message], **options: bool) -> str:
    return TOKENIZER.decode(render(messages, GEMMA3, TOKENIZER, **options).tokens, control=True)


@pytest.mark.real
def test_every_conversation_has_the_tokens_of_the_reference_template(real: Tokenizer, chat_goldens: list[Any]) -> None:
    assert len(chat_goldens) >= 60
    for case in chat_goldens:
        messages = [Message(**message) for message in case["messages"]]
        assert list(render(messages, GEMMA3, real, answer=case["answer"]).tokens) == case["ids"], messages


def test_the_definitions_are_the_ones_their_names_promise() -> None:
    """A change of what a template writes is a new version: gemma3/2."""
    assert {template.name: fingerprint(template)[:16] for template in TEMPLATES} == {
        "gemma/1": "a2e0833665921ce4",
        "gemma3/1": "8931c7f40d4905d2",
        "gemma3n/1": "7ea5ae2c59b5cde8",
        "functiongemma/1": "4ea373ff56907b42",
        "gemma4/1": "1032c2d81dc2bd36",
        "gemma4e/1": "9457db12d9628ee6",
        "transcript/1": "1e251ef92bbf4893",
    }
    changed = replace(GEMMA3, write=lambda conversation: [*GEMMA3.write(conversation), " "])
    assert len({fingerprint(each) for each in (GEMMA3, changed, replace(GEMMA3, name="gemma3/2"))}) == 3


def test_turns_are_written_as_gemma_3_was_taught() -> None:
    messages = conversation(("system", " be brief\n"), ("user", " hi \n"), ("assistant", "yes"), ("user", "why"))
    assert spelled(messages) == (
        "<bos><start_of_turn>user\n be brief\n\n\nhi<end_of_turn>\n<start_of_turn>model\nyes<end_of_turn>\n"
        "<start_of_turn>user\nwhy<end_of_turn>\n<start_of_turn>model\n"
    )
    assert spelled(messages[:3], answer=False).endswith("<start_of_turn>model\nyes<end_of_turn>\n")


def test_developer_messages_and_further_system_messages_go_before_the_next_user_message() -> None:
    messages = conversation(
        ("system", "one"),
        ("developer", "two"),
        ("user", "hi"),
        ("assistant", "yes"),
        ("system", "three"),
        ("user", "why"),
    )
    assert spelled(messages) == (
        "<bos><start_of_turn>user\none\n\ntwo\n\nhi<end_of_turn>\n<start_of_turn>model\nyes<end_of_turn>\n"
        "<start_of_turn>user\nthree\n\nwhy<end_of_turn>\n<start_of_turn>model\n"
    )


@given(
    st.lists(
        st.lists(st.sampled_from([*CONTROL, "a", "\n", "user", "model", "<"]), max_size=8).map("".join),
        min_size=1,
        max_size=5,
    )
)
@settings(max_examples=300, deadline=None)
def test_no_message_can_forge_a_turn(texts: list[str]) -> None:
    roles: tuple[Role, Role] = ("user", "assistant")
    messages = [Message("system", texts[0])] + [Message(roles[i % 2], text) for i, text in enumerate(texts)]
    answer = len(texts) % 2 == 1
    tokens = render(messages, GEMMA3, TOKENIZER, answer=answer).tokens
    control = [TOKENIZER.spelling(id) for id in tokens if TOKENIZER.is_control(id)]
    assert control == ["<bos>", *["<start_of_turn>", "<end_of_turn>"] * len(texts), *["<start_of_turn>"] * answer]


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([], "no user message"),
        ([Message("system", "x")], "no user message"),
        ([Message("assistant", "x")], "Message 0 is the assistant's where the user's was due"),
        (conversation(("user", "a"), ("user", "b")), "Message 1 is the user's where the assistant's was due"),
        (
            conversation(("user", "a"), ("assistant", "b"), ("assistant", "c")),
            "Message 2 is the assistant's where the user's",
        ),
        (
            conversation(("user", "a"), ("system", "b"), ("assistant", "c")),
            "Message 2 is the assistant's where the user's",
        ),
        (conversation(("user", "a"), ("system", "b"), ("user", "c")), "Message 2 is the user's where the assistant's"),
        (conversation(("user", "a"), ("assistant", "b")), "last message is the assistant's"),
        (conversation(("user", "a"), ("assistant", "b"), ("system", "c")), "last message is a system message"),
    ],
)
@pytest.mark.parametrize("template", [GEMMA3, TRANSCRIPT])
def test_a_conversation_that_cannot_be_answered_is_refused(
    messages: list[Message], message: str, template: Any
) -> None:
    with pytest.raises(UsageError, match=message):
        render(messages, template, TOKENIZER)


def test_a_base_model_gets_a_transcript_with_the_strings_that_end_an_answer() -> None:
    messages = conversation(("system", "be brief"), ("user", " hi "), ("assistant", "yes"), ("user", "why\nnot"))
    prompt = render(messages, TRANSCRIPT, TOKENIZER)
    assert TOKENIZER.decode(prompt.tokens) == "be brief\n\nUser: hi\nAssistant: yes\nUser: why\nnot\nAssistant:"
    assert prompt.tokens[0] == TOKENIZER.bos_id
    assert prompt.stop == ("\nUser:", "\nAssistant:")
    assert prompt.template == "transcript/1"


def test_a_vocabulary_without_turn_marks_cannot_have_turns() -> None:
    without = [s.replace("_of_turn", "_of_nothing").encode() for s in TOY.spellings]
    tokenizer = Tokenizer.from_pieces(raw_pieces(without, [int(t) for t in TOY.types], TOY.scores))
    with pytest.raises(UnsupportedModel, match=r"lacks the control token <start_of_turn>"):
        render(conversation(("user", "hi")), GEMMA3, tokenizer)
    assert render(conversation(("user", "hi")), TRANSCRIPT, tokenizer).tokens
    assert tokenizer.stop_ids == {tokenizer.eos_id}
