"""Values that cannot be are refused when they are made, each with a sentence."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gemwright.errors import UsageError
from gemwright.messages import Completion, Message, Sampling, SamplingOptions, as_messages


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("temperature", [-0.1, 101, math.nan, math.inf, "hot", True]),
        ("top_k", [-1, 2.5, math.nan, 1 << 21]),
        ("top_p", [0, 1.1, -0.5]),
        ("min_p", [-0.1, 1.1]),
        ("repetition_penalty", [0, -1, 11]),
        ("presence_penalty", [-11, 11]),
        ("frequency_penalty", [-11, 11]),
        ("logit_bias", [{1: math.inf}, {1.5: 1.0}, {"a": 1.0}, {1: 1001}, dict.fromkeys(range(1025), 1.0)]),
        ("seed", [-1, 2**64, 1.0]),
        ("stop", ["abc", [1], ("",), ("x",) * 17]),
    ],
)
def test_an_option_that_cannot_be_is_refused(option: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(UsageError, match="stop|allowed|" + option):
            Sampling(**{option: value})


def test_the_limits_themselves_are_allowed() -> None:
    Sampling(temperature=0, top_k=0, top_p=1, min_p=0, repetition_penalty=10, seed=0)
    Sampling(temperature=100, top_p=1e-9, min_p=1, presence_penalty=-10, seed=2**64 - 1, stop=("x",) * 16)


def test_greedy_is_temperature_zero_with_other_options_as_given() -> None:
    assert Sampling.greedy(stop=("x",)) == Sampling(temperature=0.0, stop=("x",))


def test_every_field_of_sampling_can_be_given_by_keyword() -> None:
    assert set(SamplingOptions.__annotations__) == set(Sampling.__dataclass_fields__)


def test_messages_come_as_they_are_or_as_dictionaries() -> None:
    assert as_messages([Message("user", "a"), {"role": "assistant", "content": "b"}]) == [
        Message("user", "a"),
        Message("assistant", "b"),
    ]


@pytest.mark.parametrize(
    "turn", [Message, {"role": "user"}, {"role": "user", "content": "a", "id": 1}, "text", ["user"]]
)
def test_anything_else_is_no_message(turn: Any) -> None:
    with pytest.raises(UsageError, match="must be a Message"):
        as_messages([turn])


@pytest.mark.parametrize(
    ("role", "content", "says"), [("robot", "a", "robot"), ("user", 5, "int"), (None, "a", "None")]
)
def test_a_message_needs_a_known_role_and_text(role: Any, content: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Message(role, content)


def test_tokens_per_second_counts_from_the_first_token() -> None:
    assert Completion("abc", (1, 2, 3), "stop", 1, prefill_s=9.0, decode_s=0.5).tokens_per_second == 4.0
    assert Completion("a", (1,), "stop", 1, prefill_s=9.0, decode_s=0.0).tokens_per_second == 0.0
    assert Completion("", (), "stop", 1, prefill_s=9.0, decode_s=0.0).tokens_per_second == 0.0
