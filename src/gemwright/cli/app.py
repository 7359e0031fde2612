"""The program: its commands, its version, its help."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module

from gemwright import __version__
from gemwright.cli.failure import guarded
from gemwright.cli.opening import Loader
from gemwright.cli.parser import Context, parse
from gemwright.cli.terminal import say
from gemwright.errors import UsageError

COMMANDS = ("run", "chat", "embed", "bench", "perplexity", "models", "inspect", "quantise")
"""Each is a module of this package that holds `command`, a function `parser` can read."""

ABOUT = "Runs Google's Gemma open models on this machine's CPU, with its own engine."

EPILOG = """
Exit status: 0 done · 1 a defect of gemwright · 2 an option that cannot be · 3 a file missing, unreadable or not a
model · 4 prompt and answer exceed the context · 5 no memory or room now · 6 a CPU target unknown or not supported
here · 7 the model computed something that is no number · 130 interrupted · 141 the reader of a pipe went away. With
--json an error is printed as {"error": {"code", "message", "hint"}} on standard output, with the same status.
"""


def run_program(arguments: Sequence[str], *, load: Loader | None = None) -> int:
    """Exit status of `gemwright ARGUMENTS…`. `load` stands in for `gemwright.load` in tests."""
    return guarded(lambda: _run(arguments, Context(load)), as_json="--json" in arguments)


def command_named(name: str) -> Callable[..., None]:
    """The function of one of COMMANDS; its module is imported now."""
    command: Callable[..., None] = import_module(f"gemwright.cli.{name}").command
    return command


def program_help() -> str:
    """What `gemwright --help` says: every command with the first line of its own help."""
    lines = [f"  {name:<12}{(command_named(name).__doc__ or '').splitlines()[0]}" for name in COMMANDS]
    usage = "usage: gemwright COMMAND [options]\n       gemwright COMMAND --help\n       gemwright --version"
    return "\n".join([usage, "", ABOUT, "", *lines, EPILOG]).rstrip()


def _run(arguments: Sequence[str], context: Context) -> None:
    first = arguments[0] if arguments else "--help"
    if first in ("--help", "-h"):
        say(program_help())
    elif first == "--version":
        say(f"gemwright {__version__}")
    elif first in COMMANDS:
        command = command_named(first)
        command(context, **parse(f"gemwright {first}", command, arguments[1:]))
    else:
        kind = "option" if first.startswith("-") else "command"
        raise UsageError(f"No such {kind} {first!r}.", hint="`gemwright --help` lists what there is.")
