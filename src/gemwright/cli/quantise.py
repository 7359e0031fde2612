"""`gemwright quantise`: a checkpoint as a GGUF file of fewer bits."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from gemwright.cli import options
from gemwright.cli.parser import Argument, Context, Option
from gemwright.cli.tables import table
from gemwright.cli.terminal import printable, say

if TYPE_CHECKING:
    from gemwright.quantising import Written


def command(
    context: Context,
    source: options.ModelArgument,
    target: Annotated[Path, Argument(metavar="TARGET", help="The .gguf file to write.")],
    level: options.LevelOption = "maximum_efficiency",
    matrices: Annotated[
        str | None,
        Option("--type", metavar="NAME", help="Write every matrix as BF16, F16, Q8_0, Q5_0 or Q4_0 instead."),
    ] = None,
    force: Annotated[bool, Option("--force", help="Replace TARGET if it exists.")] = False,
    as_json: options.JsonOption = False,
) -> None:
    """Write a model as a GGUF file of fewer bits.

    The file holds everything a model needs, its tokenizer too, and llama.cpp reads it as well.
    """
    from gemwright.quantising import quantise_file

    written = quantise_file(
        source,
        target,
        level=level,
        matrices=matrices,
        force=force,
        announce=lambda sentence: print(sentence, file=sys.stderr),
        progress=_Progress().show,
    )
    say(json.dumps(_as_dict(written)) if as_json else _report(written))


class _Progress:
    """Percent done, on a terminal only."""

    def __init__(self) -> None:
        self._shown = -1

    def show(self, done: int, total: int) -> None:
        percent = 100 * done // total
        if sys.stderr.isatty() and percent != self._shown:
            self._shown = percent
            print(f"\r{percent} %", end="\n" if done == total else "", file=sys.stderr, flush=True)


def _report(written: Written) -> str:
    rows = sorted(written.by_type.items(), key=lambda row: -row[1])
    return f"{table('Sizes', 'type >bytes', rows)}\n\n{printable(str(written.path))}: {written.bytes:,} bytes"


def _as_dict(written: Written) -> dict[str, object]:
    return {"path": str(written.path), "bytes": written.bytes, "by_type": written.by_type}
