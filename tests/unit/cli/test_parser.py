"""Signatures become command lines: what a word may be, and what it must not mean by accident."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from gemwright.cli.parser import Argument, Context, Option, parameters, parse
from gemwright.errors import UsageError


def command(
    context: Context,
    file: Annotated[Path, Argument(metavar="FILE", help="It is read.")],
    word: Annotated[str | None, Argument(metavar="WORD", help="Looked for.")] = None,
    count: Annotated[int, Option("--count", "-n", metavar="N", help="At most 100 %.")] = 7,
    share: Annotated[float | None, Option("--share", metavar="P", help="Of 1.")] = None,
    how: Annotated[Literal["fast", "exact"], Option("--how", metavar="NAME", help="fast or exact.")] = "fast",
    tag: Annotated[list[str] | None, Option("--tag", metavar="TEXT", help="Several may be given.")] = None,
    loud: Annotated[bool, Option("--loud", help="Says more.")] = False,
) -> None:
    """Counts words.

    In one file.
    """


def parsed(*words: str) -> dict[str, Any]:
    return parse("toy", command, words)


def test_what_is_not_given_has_the_default_of_the_signature() -> None:
    defaults = {"word": None, "count": 7, "share": None, "how": "fast", "tag": None, "loud": False}
    assert parsed("a.txt") == {"file": Path("a.txt"), **defaults}


def test_words_become_values_of_the_annotated_types() -> None:
    found = parsed("-n", "3", "a.txt", "w", "--share", "-0.5", "--how=exact", "--tag", "x", "--loud", "--tag", "")
    assert found == {
        "file": Path("a.txt"), "word": "w", "count": 3, "share": -0.5, "how": "exact", "tag": ["x", ""], "loud": True
    }  # fmt: skip
    assert [type(value) for value in found.values()][1:4] == [str, int, float]


def several(context: Context, word: Annotated[list[str] | None, Argument(metavar="WORD…", help="Any.")] = None) -> None:
    """Takes words."""


def test_an_argument_may_stand_for_several_words() -> None:
    assert parse("toy", several, ["a", "b", "--", "-c"])["word"] == ["a", "b", "-c"]
    assert not parse("toy", several, [])["word"]


def test_after_two_dashes_nothing_is_an_option() -> None:
    assert parsed("--loud", "--", "-a.txt", "--count")["word"] == "--count"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([], "FILE"),
        (["a", "--count", "1.5"], "--count"),
        (["a", "--count"], "--count"),
        (["a", "--share", "half"], "--share"),
        (["a", "--how", "quick"], "quick"),
        (["a", "b", "c"], "c"),
        (["a", "--lou"], "--lou"),  # no abbreviations: another option may begin so one day
        (["a", "--loud=yes"], "yes"),
    ],
)
def test_a_word_that_cannot_be_is_named_with_the_way_to_the_help(words: list[str], named: str) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(*words)
    assert named in str(caught.value)
    assert caught.value.hint == "`toy --help` shows what is possible."


def test_the_help_shows_every_option_and_leaves(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parsed("--help")
    assert left.value.code == 0
    out = capsys.readouterr().out
    for text in ("Counts words.", "In one file.", "FILE", "It is read.", "--count", "-n N", "At most 100 %.", "--loud"):
        assert text in out


def test_parameters_of_the_program_itself_are_not_on_the_command_line() -> None:
    assert [one.name for one in parameters(command)] == ["file", "word", "count", "share", "how", "tag", "loud"]
    assert [one.required for one in parameters(command)] == [True] + 6 * [False]
