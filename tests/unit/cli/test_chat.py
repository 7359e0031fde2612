"""`gemwright chat`: turns, commands, and what stops what."""

from __future__ import annotations

import pytest

from gemwright.cli import chat
from gemwright.errors import CapacityError, ContextOverflow
from gemwright.messages import Message


def _roles(asked: dict) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in asked["messages"]]


def test_each_turn_is_asked_with_all_turns_before_it(run, model) -> None:
    model.answers = [("A",), ("B",)]
    ran = run("chat", stdin=b"one\ntwo\n")
    assert ran.status == 0
    assert ran.out == "A\nB\n"
    assert _roles(model.asked[0]) == [("user", "one")]
    assert _roles(model.asked[1]) == [("user", "one"), ("assistant", "A"), ("user", "two")]


def test_a_base_model_says_that_it_continues_a_transcript(run, model) -> None:
    assert "transcript/1" in run("chat", stdin=b"/quit\n").err
    model.is_chat_tuned = True
    assert "transcript" not in run("chat", stdin=b"/quit\n").err


def test_reset_forgets_and_quit_leaves(run, model) -> None:
    run("chat", stdin=b"one\n/reset\ntwo\n/quit\nthree\n")
    assert [_roles(asked) for asked in model.asked] == [[("user", "one")], [("user", "two")]]


def test_help_lists_the_commands_and_an_unknown_one_is_not_sent_to_the_model(run, model) -> None:
    ran = run("chat", stdin=b"/help\n/dance now\n  \n")
    assert ran.err.count("/reset") >= 3  # the greeting, /help, and after the unknown command
    assert "/dance is not a command" in ran.err
    assert model.asked == []


def test_ctrl_c_stops_the_answer_and_not_the_program(run, model) -> None:
    model.answers = [("Once upon", KeyboardInterrupt(), "never"), ("Hi",)]
    ran = run("chat", stdin=b"story\nhello\n")
    assert ran.status == 0
    assert ran.out == "Once upon\nHi\n"
    assert "stopped" in ran.err
    assert model.streams[0].closed
    assert _roles(model.asked[1]) == [("user", "story"), ("assistant", "Once upon"), ("user", "hello")]


def test_a_turn_stopped_before_its_first_word_is_forgotten(run, model) -> None:
    model.answers = [(KeyboardInterrupt(),), ("Hi",)]
    run("chat", stdin=b"story\nhello\n")
    assert _roles(model.asked[1]) == [("user", "hello")]


@pytest.mark.parametrize("error", [ContextOverflow("Too long."), CapacityError("No room.")])
def test_a_turn_that_does_not_fit_is_forgotten_and_the_conversation_goes_on(run, model, error) -> None:
    model.answers = [("A",), (error,), ("C",)]
    ran = run("chat", stdin=b"one\ntwo\nthree\n")
    assert ran.status == 0
    assert f"{error} /reset starts anew." in ran.err
    assert _roles(model.asked[2]) == [("user", "one"), ("assistant", "A"), ("user", "three")]


def test_a_defect_is_not_taken_for_a_turn_that_does_not_fit(run, model) -> None:
    model.answers = [(ZeroDivisionError(),)]
    with pytest.raises(ZeroDivisionError):
        run("chat", stdin=b"one\n")


def test_options_reach_the_model(run, model) -> None:
    run("chat", "-m", "x.gguf", "--max-tokens", "9", "--seed", "4", stdin=b"one\n")
    assert model.loaded_with["name"] == "x.gguf"
    assert model.asked[0]["max_tokens"] == 9
    assert model.asked[0]["sampling"].seed == 4


def test_remarks_never_carry_control_characters(capsys) -> None:
    chat._note("\x1b]0;title\x07")
    assert "\x1b" not in capsys.readouterr().err


def test_a_conversation_holds_messages(run, model) -> None:
    run("chat", stdin="grüß dich\n".encode())
    assert model.asked[0]["messages"] == [Message("user", "grüß dich")]
