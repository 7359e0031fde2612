"""A command's options, read from the signature of its function and parsed by argparse.

    def command(context: Context, file: Annotated[Path, Argument(metavar="FILE", help="…")],
                seed: Annotated[int | None, Option("--seed", metavar="S", help="…")] = None) -> None:

An annotation's type says what a word must be: str, int, float, Path, a Literal of names; bool is a flag, list[str] may
be given several times, or as several words in its place. A parameter without a default is required. Libraries that do
this too take longer to import than the model to start (docs/decisions/command-line.md).
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NoReturn, get_args, get_origin

from gemwright.cli.terminal import say
from gemwright.errors import UsageError


@dataclass(frozen=True)
class Context:
    """What a command gets beside its options. load: stands in for `gemwright.load` in tests."""

    load: Callable[..., Any] | None = None


@dataclass(frozen=True)
class Argument:
    """A word by its place, such words standing together: `metavar` is what it is called."""

    metavar: str
    help: str


class Option:
    """A word by its name, such as Option("--seed", metavar="S", help="…"), or a flag, which has no metavar."""

    def __init__(self, *names: str, help: str, metavar: str | None = None) -> None:
        self.names = names
        self.help = help
        self.metavar = metavar


@dataclass(frozen=True)
class Parameter:
    """One parameter of a command. kind: bool, list, or what makes a value of a word. choices: empty if any will do."""

    name: str
    declared: Argument | Option
    kind: Callable[[str], Any]
    choices: tuple[str, ...]
    default: Any
    required: bool


def parameters(command: Callable[..., None]) -> list[Parameter]:
    """The parameters that stand on the command line, in the order of the signature."""
    hints: dict[str, Any] = inspect.get_annotations(command, eval_str=True)
    found = []
    for name, parameter in inspect.signature(command).parameters.items():
        if get_origin(hints[name]) is Annotated:
            type_, declared = get_args(hints[name])
            required = parameter.default is parameter.empty
            kind, choices = _kind(type_)
            found.append(Parameter(name, declared, kind, choices, None if required else parameter.default, required))
    return found


def parse(program: str, command: Callable[..., None], words: Sequence[str]) -> dict[str, Any]:
    """The values of `words` by parameter name. Raises UsageError; --help prints and raises SystemExit(0)."""
    return vars(parser(program, command).parse_args(list(words)))


def parser(program: str, command: Callable[..., None]) -> argparse.ArgumentParser:
    """The parser of `command`, which is called `program` in its help and in errors."""
    made = _Parser(
        prog=program,
        description=inspect.getdoc(command),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # a new option must not change what an old script means
    )
    for one in parameters(command):
        _add(made, one)
    return made


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        sentence = message[:1].upper() + message[1:]
        raise UsageError(f"{sentence}.", hint=f"`{self.prog} --help` shows what is possible.")

    def print_help(self, file: Any = None) -> None:
        say(self.format_help().rstrip())  # argparse would hide that the output cannot be written


def _add(to: argparse.ArgumentParser, one: Parameter) -> None:
    text = one.declared.help.replace("%", "%%")
    if isinstance(one.declared, Argument):
        several = one.kind is list
        to.add_argument(
            one.name, metavar=one.declared.metavar, help=text, type=str if several else one.kind, default=one.default,
            nargs=None if one.required else "*" if several else "?",
        )  # fmt: skip
    elif one.kind is bool:
        to.add_argument(*one.declared.names, dest=one.name, help=text, action="store_true")
    else:
        repeated = one.kind is list
        to.add_argument(
            *one.declared.names, dest=one.name, help=text, metavar=one.declared.metavar, default=one.default,
            required=one.required, action="append" if repeated else "store", type=str if repeated else one.kind,
            choices=one.choices or None,
        )  # fmt: skip


def _kind(type_: Any) -> tuple[Callable[[str], Any], tuple[str, ...]]:
    """(what makes a value of a word, the words there are) of an annotation's type, with or without `| None`."""
    alternatives = [one for one in get_args(type_) if one is not type(None)]
    if get_origin(type_) is Literal:
        return str, get_args(type_)
    if get_origin(type_) is list:
        return list, ()
    if alternatives:
        return _kind(alternatives[0])
    return type_, ()
