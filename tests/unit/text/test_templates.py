"""Every template against its reference: the same text, marks where the reference has them and nowhere else."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemwright.dialogue import Message, Tool, ToolCall, as_messages, as_tools
from gemwright.errors import UnsupportedModel, UsageError
from gemwright.text.chat import (
    FUNCTIONGEMMA,
    GEMMA,
    GEMMA3,
    GEMMA3N,
    GEMMA4,
    GEMMA4E,
    TRANSCRIPT,
    ChatTemplate,
    render,
)
from gemwright.text.chat import (
    TEMPLATES as ALL,
)
from gemwright.text.pieces import PieceType
from gemwright.text.tokenizer import Tokenizer
from unit.text.toy import CONTROL, Toy

TEMPLATES = {"gemma": GEMMA, "gemma3": GEMMA3, "functiongemma": FUNCTIONGEMMA, "gemma4": GEMMA4, "gemma4e": GEMMA4E}


class Spelling:
    """An encoder whose tokens are characters of text and whole marks."""

    def __init__(self) -> None:
        self.pieces = ["<bos>"]
        self.bos_id = 0

    def control_id(self, spelling: str, /) -> int:
        return self._add(spelling)

    def encode(self, text: str, /, *, bos: bool = True) -> list[int]:
        assert not bos
        return [self._add(text)]

    def _add(self, piece: str) -> int:
        self.pieces.append(piece)
        return len(self.pieces) - 1


def written(case: dict[str, Any], template: ChatTemplate) -> str:
    encoder = Spelling()
    prompt = render(
        as_messages(case["messages"]),
        template,
        encoder,
        answer=case["answer"],
        tools=as_tools(case["tools"]),
        thinking=case["thinking"],
    )
    return "".join(encoder.pieces[token] for token in prompt.tokens)


def test_what_is_written_is_what_the_reference_templates_write(template_goldens: list[dict[str, Any]]) -> None:
    counts = Counter(case["template"] for case in template_goldens)
    assert set(counts) == set(TEMPLATES)
    assert min(counts.values()) >= 25
    assert sum(counts.values()) >= 300
    for case in template_goldens:
        assert written(case, TEMPLATES[case["template"]]) == case["text"], case


def test_gemma_3n_is_written_as_gemma_3(template_goldens: list[dict[str, Any]]) -> None:
    for case in template_goldens:
        if case["template"] == "gemma3":
            assert written(case, GEMMA3N) == case["text"]


MARKS = (
    "<|turn>", "<turn|>", "<|think|>", "<|channel>", "<channel|>", "<|tool>", "<tool|>", "<|tool_call>", "<tool_call|>",
    "<|tool_response>", "<tool_response|>", '<|"|>', "<start_function_declaration>", "<end_function_declaration>",
    "<start_function_call>", "<end_function_call>", "<start_function_response>", "<end_function_response>", "<escape>",
)  # fmt: skip


@pytest.fixture(scope="module")
def every_mark() -> Tokenizer:
    """A vocabulary with the control tokens of all generations."""
    toy = Toy.of()
    more = Toy(
        (*toy.spellings, *MARKS),
        (*toy.scores, *[0.0] * len(MARKS)),
        (*toy.types, *[PieceType.USER_DEFINED] * len(MARKS)),
    )
    return Tokenizer.from_pieces(more.pieces())


def conversation(text: str) -> tuple[list[Message], list[Tool]]:
    """With the text in every place a user, a file or a tool can put one."""
    schema = {"properties": {text: {"type": "string", "description": text, "enum": [text]}}, "required": [text]}
    return [
        Message("system", text),
        Message("user", text),
        Message("assistant", text, [ToolCall("f", {text: [text, {text: text}]})], text),
        Message("tool", {text: text}),
        Message("assistant", text),
        Message("user", (text, text)),
    ], [Tool("f", text, schema)]


@pytest.mark.parametrize("template", ALL, ids=lambda template: template.name)
@given(
    text=st.lists(st.sampled_from([*MARKS, *CONTROL, "a", "\n", "model", "<", "|>"]), max_size=6).map(
        lambda parts: "x" + "".join(parts)
    )
)
@settings(max_examples=60, deadline=None)
def test_no_text_becomes_a_mark_wherever_it_stands(template: ChatTemplate, every_mark: Tokenizer, text: str) -> None:
    def marks(text: str) -> list[str]:
        messages, tools = conversation(text)
        more: dict[str, Any] = {"thinking": template.thinks}
        if template.takes_tools:
            more["tools"] = tools
        else:
            messages = [messages[0], messages[1], Message("assistant", text), messages[5]]
        tokens = render(messages, template, every_mark, **more).tokens
        return [every_mark.spelling(id) for id in tokens if every_mark.is_control(id)]

    assert marks(text) == marks("x")
    assert marks(text).count("<bos>") == 1


def test_a_base_model_is_given_no_tools_and_an_older_one_no_channel_for_thoughts(every_mark: Tokenizer) -> None:
    hi = [Message("user", "hi")]
    with pytest.raises(UsageError, match="base model cannot be given tools"):
        render(hi, TRANSCRIPT, every_mark, tools=[Tool("f")])
    for template in (GEMMA, GEMMA3, GEMMA3N, FUNCTIONGEMMA, TRANSCRIPT):
        with pytest.raises(UsageError, match="no channel for thoughts"):
            render(hi, template, every_mark, thinking=True)


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([Message("user", "a"), Message("tool", "1", name="f")], "a call that was not made"),
        ([Message("user", "a"), Message("assistant", "", [ToolCall("f")]), Message("tool", "1", name="g")], "not made"),
        ([Message("user", "a"), Message("assistant", "", [ToolCall("f")])], "calls have no results"),
        (
            [
                Message("user", "a"),
                Message("assistant", "", [ToolCall("f")]),
                Message("tool", "1"),
                Message("tool", "2"),
            ],
            "Message 3 is the result of a call that was not made",
        ),
        ([Message("user", "a"), Message("assistant", "b")], "last message is the assistant's"),
        ([Message("user", "a"), Message("assistant", "b"), Message("system", "c")], "last message is a system message"),
        ([Message("system", "a")], "no user message"),
        ([], "no user message"),
    ],
)
@pytest.mark.parametrize("template", [GEMMA3, FUNCTIONGEMMA, GEMMA4], ids=lambda template: template.name)
def test_what_leaves_nothing_to_answer_is_refused(
    messages: list[Message], says: str, template: ChatTemplate, every_mark: Tokenizer
) -> None:
    with pytest.raises(UsageError, match=says):
        render(messages, template, every_mark)


def test_results_find_their_calls_by_name_by_id_and_in_order(every_mark: Tokenizer) -> None:
    calls = [ToolCall("f", id="1"), ToolCall("g", id="2"), ToolCall("f", id="3")]
    asked = [Message("user", "a"), Message("assistant", "", calls)]
    by_id = [Message("tool", text, call_id=id) for text, id in (("x", "1"), ("y", "2"), ("z", "3"))]
    by_name = [Message("tool", text, name=name) for text, name in (("x", "f"), ("y", "g"), ("z", "f"))]
    in_order = [Message("tool", text) for text in ("x", "y", "z")]
    prompts = {render([*asked, *told], GEMMA4, every_mark).tokens for told in (by_id, by_name, in_order)}
    assert len(prompts) == 1


def test_the_prompt_says_whether_it_ends_inside_a_thought(every_mark: Tokenizer) -> None:
    asked = [Message("user", "a"), Message("assistant", "", [ToolCall("f")]), Message("tool", "1")]
    for template in (GEMMA4, GEMMA4E):
        for thinking in (False, True):
            assert not render(asked[:1], template, every_mark, thinking=thinking).in_thought
            assert render(asked, template, every_mark, thinking=thinking).in_thought is thinking


def test_tools_without_a_system_message_switch_functiongemma_to_calling(every_mark: Tokenizer) -> None:
    tokens = render([Message("user", "a")], FUNCTIONGEMMA, every_mark, tools=[Tool("f")]).tokens
    assert "developer\nYou are a model that can do function calling with" in every_mark.decode(tokens)


def test_a_user_who_interrupts_a_functiongemma_has_a_turn_of_their_own(every_mark: Tokenizer) -> None:
    talk = [Message("user", "a"), Message("assistant", "", [ToolCall("f")]), Message("tool", "1"), Message("user", "b")]
    text = every_mark.decode(render(talk, FUNCTIONGEMMA, every_mark).tokens, control=True)
    assert text.endswith(
        "<end_function_response><end_of_turn>\n<start_of_turn>user\nb<end_of_turn>\n<start_of_turn>model\n"
    )


def test_a_vocabulary_without_the_marks_is_refused_by_name() -> None:
    tokenizer = Tokenizer.from_pieces(Toy.of().pieces())
    with pytest.raises(UnsupportedModel, match=r"lacks the control token <\|turn>, which gemma4/1 needs"):
        render([Message("user", "a")], GEMMA4, tokenizer)


def test_answers_end_where_each_generation_ends_them(every_mark: Tokenizer) -> None:
    spelled = {every_mark.spelling(id) for id in every_mark.stop_ids}
    assert spelled == {"<eos>", "<end_of_turn>", "<|tool_response>", "<start_function_response>"}


def test_a_gemma_4_s_text_beside_calls_stands_before_them_and_its_turn_stays_open(every_mark: Tokenizer) -> None:
    talk = [Message("user", "a"), Message("assistant", "b", [ToolCall("f")]), Message("tool", "1")]
    text = every_mark.decode(render(talk, GEMMA4, every_mark).tokens, control=True)
    assert "<|turn>model\nb<|tool_call>call:f{}<tool_call|><|tool_response>response:f{value:" in text
    assert text.endswith("<tool_response|>")
