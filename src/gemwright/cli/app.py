"""The program: its commands, its version, its help."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from gemwright import __version__
from gemwright.cli.failure import guarded
from gemwright.cli.opening import Loader

COMMANDS = ("run", "chat", "bench", "perplexity", "models", "inspect", "quantise")
"""Each is a module of this package that holds `command`, a function typer can read."""

EPILOG = """
Exit status: 0 done · 1 a defect of gemwright · 2 an option that cannot be · 3 a file missing, unreadable or not a
model · 4 prompt and answer exceed the context · 5 no memory or room now · 6 a CPU target unknown or not supported
here · 7 the model computed something that is no number · 130 interrupted · 141 the reader of a pipe went away. With
--json an error is printed as {"error": {"code", "message", "hint"}} on standard output, with the same status.
"""


class _LazyCommands(TyperGroup):
    """Imports a command's module when the command is named (or all of them, to list them in --help)."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(cmd_name, no_args_is_help=False)(import_module(f"gemwright.cli.{cmd_name}").command)
        return get_command(single)


app = typer.Typer(
    cls=_LazyCommands, add_completion=False, rich_markup_mode=None, invoke_without_command=True, epilog=EPILOG
)


@app.callback()
def gemwright(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Show the version and leave.")] = False,
) -> None:
    """Runs Google's Gemma open models on this machine's CPU, with its own engine."""
    if show_version:
        typer.echo(f"gemwright {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run_program(arguments: Sequence[str], *, load: Loader | None = None) -> int:
    """Exit status of `gemwright ARGUMENTS…`. `load` stands in for `gemwright.load` in tests."""
    program = get_command(app)

    def invoke() -> None:  # not `program.main`, which has its own ideas about errors and closed pipes
        with program.make_context("gemwright", list(arguments), obj=load) as context:
            program.invoke(context)

    return guarded(invoke, as_json="--json" in arguments)
