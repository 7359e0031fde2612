"""Every way a command can end: the sentence, the JSON and the exit status."""

from __future__ import annotations

import json

import pytest

from gemwright import errors
from gemwright.cli.app import EPILOG, run_program
from gemwright.cli.failure import guarded


def _raiser(error: BaseException):
    def action() -> None:
        raise error

    return action


@pytest.mark.parametrize(
    "kind", [kind for kind in vars(errors).values() if isinstance(kind, type)], ids=lambda kind: kind.code
)
def test_a_foreseen_error_is_one_line_and_its_exit_status(kind, capsys: pytest.CaptureFixture[str]) -> None:
    status = guarded(_raiser(kind("It is 7.", hint="Make it 8.")), as_json=False)
    out, err = capsys.readouterr()
    assert (status, out, err) == (kind.exit_status, "", "gemwright: It is 7. Make it 8.\n")


def test_json_carries_code_message_and_hint_apart(capsys: pytest.CaptureFixture[str]) -> None:
    status = guarded(_raiser(errors.ContextOverflow("Too long.", hint="Cut it.")), as_json=True)
    out, err = capsys.readouterr()
    assert status == 4
    assert json.loads(out) == {"error": {"code": "context_overflow", "message": "Too long.", "hint": "Cut it."}}
    assert err == ""


def test_control_characters_of_a_file_name_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    guarded(_raiser(errors.FileError("\x1b]0;owned\x07.gguf is missing.")), as_json=False)
    assert "\x1b" not in capsys.readouterr().err


def test_a_defect_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        guarded(lambda: 1 // 0, as_json=True)


def test_ctrl_c_is_status_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(_raiser(KeyboardInterrupt()), as_json=False) == 130
    assert capsys.readouterr().err == "Interrupted.\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["fly"], "No such command 'fly'"),
        (["run", "--no-such-option", "x"], "--no-such-option"),
        (["run", "--top-k", "many", "x"], "--top-k"),
        (["run", "--precision", "sloppy", "x"], "sloppy"),
        (["inspect"], "FILE"),
    ],
)
def test_a_wrong_command_line_is_status_2_and_names_what_is_wrong(arguments, says, capsys) -> None:
    assert run_program(arguments) == 2
    out, err = capsys.readouterr()
    assert says in err
    assert "--help" in err
    assert len(err.splitlines()) == 1
    assert out == ""


def test_a_wrong_option_is_json_too_when_json_was_asked_for(capsys) -> None:
    assert run_program(["bench", "--json", "--repeat", "x"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "bad_option"


def test_help_of_every_command_is_shown_with_status_0(capsys) -> None:
    from gemwright.cli.app import COMMANDS

    for name in COMMANDS:
        assert run_program([name, "--help"]) == 0
        assert f"gemwright {name}" in capsys.readouterr().out


def test_no_command_shows_the_help_with_the_exit_statuses(capsys) -> None:
    assert run_program([]) == 0
    out = capsys.readouterr().out
    assert "Exit status" in out
    assert "perplexity" in out


def test_the_help_names_every_exit_status_an_error_can_have() -> None:
    statuses = {kind.exit_status for kind in vars(errors).values() if isinstance(kind, type)}
    assert all(f"{status} " in EPILOG for status in statuses | {0, 130, 141})


def test_the_version_is_printed(capsys) -> None:
    from gemwright import __version__

    assert run_program(["--version"]) == 0
    assert capsys.readouterr().out == f"gemwright {__version__}\n"
