"""`gemwright embed`: texts in, vectors out."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

from gemwright.cli import options
from gemwright.cli.opening import open_model
from gemwright.cli.parser import Argument, Context, Option
from gemwright.cli.tables import table
from gemwright.cli.terminal import printable, say
from gemwright.errors import UsageError

if TYPE_CHECKING:
    from gemwright.embedding import Embeddings
    from gemwright.step import F32

MAX_INPUT_BYTES = 64 << 20
SHOWN_CHARACTERS = 40
SHOWN_VALUES = 4


def command(
    context: Context,
    texts: Annotated[
        list[str] | None,
        Argument(metavar="TEXT…", help="The texts; without any, each line of standard input is one."),
    ] = None,
    model: options.ModelOption = None,
    task: Annotated[
        str | None,
        Option("--task", metavar="NAME", help="What the vectors are for, such as query or document: adds its prompt."),
    ] = None,
    title: Annotated[str | None, Option("--title", metavar="TEXT", help="The title of the documents.")] = None,
    prompt: Annotated[
        str | None, Option("--prompt", metavar="TEXT", help="Put before each text, instead of a task's prompt.")
    ] = None,
    dimensions: Annotated[
        int | None,
        Option("--dimensions", "-d", metavar="N", help="Values of a vector: 768, 512, 256 or 128; all by default."),
    ] = None,
    truncate: Annotated[bool, Option("--truncate", help="Cut texts that are too long, and say which.")] = False,
    threads: options.ThreadsOption = None,
    level: options.LevelOption = "stored",
    precision: options.PrecisionOption = None,
    as_json: Annotated[
        bool, Option("--json", help="Print one JSON object a line for each text; an error is one too.")
    ] = False,
) -> None:
    """Make vectors of texts, to compare them by their products.

    Needs an embedding model (--model). Vectors have length 1; --json prints them whole.
    """
    from gemwright.embedding import EmbeddingModel

    listed = texts or _lines()
    opened = open_model(context, model, level=level, precision=precision, threads=threads)
    if not isinstance(opened, EmbeddingModel):
        raise UsageError(
            "The model continues texts and makes no vectors of them.",
            hint="Name an embedding model with --model, such as the folder of google/embeddinggemma-300m.",
        )
    found = opened.embed_counted(
        listed, task=task, title=title, prompt=prompt, dimensions=dimensions, truncate=truncate
    )
    for place, tokens in found.cut.items():
        print(f"Text {place} was cut from {tokens:,} to {found.tokens[place]:,} tokens.", file=sys.stderr)
    say("\n".join(_as_json(found, i) for i in range(len(listed))) if as_json else _report(found, listed))


def _lines() -> list[str]:
    """The lines of standard input; bytes that are not UTF-8 stay bytes (surrogateescape). Raises UsageError."""
    if sys.stdin.isatty():
        raise UsageError("There are no texts.", hint='Give some: gemwright embed "…" "…", or pipe them, one a line.')
    piped = sys.stdin.buffer.read(MAX_INPUT_BYTES + 1)
    if len(piped) > MAX_INPUT_BYTES:
        raise UsageError(f"Standard input is larger than {MAX_INPUT_BYTES >> 20} MiB.")
    if not piped:
        raise UsageError("Standard input is empty.", hint="Give a text a line.")
    return piped.decode("utf-8", "surrogateescape").removesuffix("\n").split("\n")


def _as_json(found: Embeddings, place: int) -> str:
    values = [float(str(value)) for value in found.vectors[place]]  # the fewest digits that give the same float32
    return json.dumps(
        {"index": place, "tokens": found.tokens[place], "cut_from": found.cut.get(place), "embedding": values}
    )


def _report(found: Embeddings, texts: list[str]) -> str:
    rows = [
        (_shown(text), found.tokens[i], _beginning(vector))
        for i, (text, vector) in enumerate(zip(texts, found.vectors, strict=True))
    ]
    return table(f"Vectors of {found.vectors.shape[1]} values", "text >tokens values", rows)


def _shown(text: str) -> str:
    line = printable(text).replace("\n", "\\n").replace("\t", "\\t")
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[: SHOWN_CHARACTERS - 1]}…"


def _beginning(vector: F32) -> str:
    return " ".join([*(f"{value:+.4f}" for value in vector[:SHOWN_VALUES]), "…"])
