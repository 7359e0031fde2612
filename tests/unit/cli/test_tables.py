"""Columns line up by what a terminal shows, not by how many characters there are."""

from __future__ import annotations

from gemwright.cli.tables import table


def test_columns_are_as_wide_as_their_widest_cell_and_numbers_have_separators() -> None:
    assert table("T", "name >bytes", [("a", 1234567), ("longer", 5)]).splitlines() == [
        "T",
        "name        bytes",
        "a       1,234,567",
        "longer          5",
    ]


def test_wide_characters_count_twice() -> None:
    lines = table("T", "name value", [("漢字", "x"), ("abcd", "y")]).splitlines()
    assert lines[2] == "漢字  x"
    assert lines[3] == "abcd  y"


def test_a_table_without_rows_is_its_heading() -> None:
    assert table("T", "name >bytes", []).splitlines() == ["T", "name  bytes"]
