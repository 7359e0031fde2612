"""Writes the pages of docs/reference that are made from the program; with --check, only says which are stale.

The command line page comes from the commands themselves, the exit codes from errors.py, the environment variables
from the docstring of settings.py. So they cannot claim what the program does not do.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

from gemwright import errors, settings
from gemwright.cli.app import ABOUT, COMMANDS, command_named
from gemwright.cli.failure import INTERRUPTED, PIPE_CLOSED
from gemwright.cli.parser import Argument, Parameter, parameters

REFERENCE = Path(__file__).resolve().parent.parent / "docs" / "reference"
MADE = "<!-- Made by `make docs` from {source}; edit that, not this. -->"


def main(arguments: list[str]) -> int:
    """Exit status: 0 when every page is fresh (or was written), 1 when --check found a stale one."""
    stale = stale_pages()
    if arguments == ["--check"]:
        for path in stale:
            print(f"{path.name} is stale: run `make docs`.", file=sys.stderr)
        return 1 if stale else 0
    for path, text in stale.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"wrote docs/reference/{path.name}")
    return 0


def stale_pages() -> dict[Path, str]:
    """What each page should hold, for pages that do not hold it."""
    pages = {"cli.md": cli_page(), "exit-codes.md": exit_codes_page(), "environment.md": environment_page()}
    made = {REFERENCE / name: text for name, text in pages.items()}
    return {path: text for path, text in made.items() if not path.is_file() or path.read_text("utf-8") != text}


def cli_page() -> str:
    """Every command with its arguments and options."""
    parts = ["# Command line", MADE.format(source="src/gemwright/cli"), ABOUT]
    parts.append(
        "Exit statuses are listed in [exit-codes.md](exit-codes.md), environment variables in "
        "[environment.md](environment.md)."
    )
    for name in COMMANDS:
        command = command_named(name)
        rows = parameters(command)
        words = [_word(row) for row in rows if isinstance(row.declared, Argument)]
        usage = " ".join([f"    gemwright {name} [OPTIONS]", *words])
        parts += [f"## gemwright {name}", inspect.getdoc(command) or "", usage, "\n".join(_option_rows(rows))]
    return "\n\n".join(parts) + "\n"


def exit_codes_page() -> str:
    """Every error with its code and exit status."""
    rows = ["| exit status | code | meaning |", "|--:|---|---|", "| 0 | | Done. |"]
    rows += [f"| {kind.exit_status} | `{kind.code}` | {_meaning(kind)} |" for kind in _error_kinds()]
    rows.append(f"| {INTERRUPTED} | | Interrupted by Ctrl-C. |")
    rows.append(f"| {PIPE_CLOSED} | | The reader of a pipe went away; nothing is wrong. |")
    return (
        "\n\n".join(
            [
                "# Exit statuses and error codes",
                MADE.format(source="src/gemwright/errors.py"),
                "An error is one sentence on standard error. With `--json` it is\n"
                '`{"error": {"code": …, "message": …, "hint": …}}` on standard output instead. Codes are stable.\n'
                "A traceback (exit status 1) is a defect of gemwright: please report it.",
                "\n".join(rows),
            ]
        )
        + "\n"
    )


def environment_page() -> str:
    """The variables the program reads, as settings.py documents them."""
    lines = [line for line in (settings.__doc__ or "").splitlines() if line.startswith("GEMWRIGHT_")]
    rows = ["| variable | meaning |", "|---|---|"]
    rows += [f"| `{name}` | {meaning.strip()} |" for name, meaning in (line.split(maxsplit=1) for line in lines)]
    made = MADE.format(source="src/gemwright/settings.py")
    return "\n\n".join(["# Environment variables", made, "\n".join(rows)]) + "\n"


def _option_rows(rows: list[Parameter]) -> Iterator[str]:
    yield "| | | default |"
    yield "|---|---|---|"
    for row in rows:
        if isinstance(row.declared, Argument):
            names = [_word(row)]
        else:
            first, *others = row.declared.names
            names = [*others, f"{first} {row.declared.metavar}" if row.declared.metavar else first]
        default = "" if row.default is None or row.default is False else f"`{row.default}`"
        yield f"| {', '.join(f'`{name}`' for name in names)} | {row.declared.help} | {default} |"


def _word(row: Parameter) -> str:
    assert isinstance(row.declared, Argument)
    return row.declared.metavar if row.required else f"[{row.declared.metavar}]"


def _error_kinds() -> list[type[errors.GemwrightError]]:
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.GemwrightError)
    ]
    return sorted(kinds, key=lambda kind: kind.exit_status)


def _meaning(kind: type[errors.GemwrightError]) -> str:
    if kind is errors.GemwrightError:
        return "Any other failure gemwright foresees."
    return (kind.__doc__ or "").strip().splitlines()[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
