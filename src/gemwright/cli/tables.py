"""Tables in text: columns as wide as their widest cell, nothing cut, headings in bold where people read."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.cells import cell_len

Cell = str | int


def table(title: str, columns: str, rows: Sequence[Sequence[Cell]]) -> str:
    """The table as lines. `columns` are names separated by spaces; a name that begins with > is aligned to the right.

    Cells must already be printable; whole numbers get thousands separators.
    """
    names = columns.split()
    right = [name.startswith(">") for name in names]
    lines = [[name.lstrip(">") for name in names]]
    lines += [[f"{cell:,}" if isinstance(cell, int) else cell for cell in row] for row in rows]
    widths = [max(cell_len(line[column]) for line in lines) for column in range(len(names))]
    text = [_line(line, widths, right) for line in lines]
    return "\n".join([_bold(title), _bold(text[0]), *text[1:]])


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = []
    for cell, width, is_right in zip(cells, widths, right, strict=True):
        gap = " " * (width - cell_len(cell))
        padded.append(gap + cell if is_right else cell + gap)
    return "  ".join(padded).rstrip()


def _bold(text: str) -> str:
    return f"\x1b[1m{text}\x1b[0m" if sys.stdout.isatty() else text
