"""What reaches a terminal, and what happens when output cannot be written."""

from __future__ import annotations

import errno
import io
import unicodedata

import pytest

from gemwright.cli.terminal import Answer, printable, say
from gemwright.errors import FileError


class _Stream(io.StringIO):
    def __init__(self, *, terminal: bool = False, error: OSError | None = None) -> None:
        super().__init__()
        self._terminal = terminal
        self._error = error

    def isatty(self) -> bool:
        return self._terminal

    def flush(self) -> None:
        if self._error is not None:
            raise self._error


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ümläut, 漢字, 👩‍🚀\n\tend", "plain, ümläut, 漢字, 👩‍🚀\n\tend"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("\x1b]52;c;ZXZpbA==\x07", "\\x1b]52;c;ZXZpbA==\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("overwritten\rtext", "overwritten\\x0dtext"),
        ("a\x08b\x7f\x00", "a\\x08b\\x7f\\x00"),
        ("access = \u202e\u2066// user", "access = \\u202e\\u2066// user"),
    ],
)
def test_a_terminal_is_shown_escapes_and_never_gets_control_characters(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_no_control_character_but_newline_and_tab_survives() -> None:
    everything = "".join(map(chr, range(0x3000)))
    controls = {c for c in printable(everything) if unicodedata.category(c) == "Cc"}
    assert controls == {"\n", "\t"}


def test_foreign_text_is_escaped_for_people_and_left_alone_in_a_pipe() -> None:
    people, pipe = _Stream(terminal=True), _Stream()
    Answer(people).write("\x1b[31mred")
    Answer(pipe).write("\x1b[31mred")
    assert people.getvalue() == "\\x1b[31mred"
    assert pipe.getvalue() == "\x1b[31mred"


@pytest.mark.parametrize(("pieces", "whole"), [(["a", "b"], "ab\n"), (["a\n"], "a\n"), ([], ""), ([""], "")])
def test_an_answer_ends_with_exactly_one_newline_if_it_said_anything(pieces: list[str], whole: str) -> None:
    stream = _Stream()
    answer = Answer(stream)
    for piece in pieces:
        answer.write(piece)
    answer.end_line()
    assert stream.getvalue() == whole


def test_a_full_disk_is_a_file_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", _Stream(error=OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(FileError, match="No space left on device"):
        say("x")


def test_a_reader_that_went_away_stays_a_broken_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", _Stream(error=BrokenPipeError(errno.EPIPE, "Broken pipe")))
    with pytest.raises(BrokenPipeError):
        say("x")
