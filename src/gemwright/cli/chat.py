"""`gemwright chat`: a conversation in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from gemwright.cli import options
from gemwright.cli.figures import summary
from gemwright.cli.opening import open_model, sampling_from
from gemwright.cli.parser import Context
from gemwright.cli.terminal import Answer, printable
from gemwright.errors import CapacityError, ContextOverflow
from gemwright.messages import Message, Sampling

if TYPE_CHECKING:
    from gemwright.model import Model

HELP = "/help shows this · /reset forgets the conversation · /quit or Ctrl-D leaves · Ctrl-C stops an answer"


def command(
    context: Context,
    model: options.ModelOption = None,
    max_tokens: options.MaxTokensOption = 512,
    temperature: options.TemperatureOption = None,
    top_k: options.TopKOption = None,
    top_p: options.TopPOption = None,
    min_p: options.MinPOption = None,
    seed: options.SeedOption = None,
    window: options.ContextOption = None,
    threads: options.ThreadsOption = None,
    precision: options.PrecisionOption = "default",
) -> None:
    """Talk with a model. Ctrl-C stops the answer, /help lists what else can be typed."""
    sampling = sampling_from(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, seed=seed)
    opened = open_model(context, model, precision=precision, threads=threads, context_tokens=window)
    _note(HELP)
    if not opened.is_chat_tuned:
        _note(
            "This is a base model: it was never taught to chat. It continues a transcript "
            f"({opened.chat_format}), and may drift. A model whose name ends in -it answers better."
        )
    Conversation(opened, sampling, max_tokens).hold(_lines())


class Conversation:
    """The turns so far, and what one more line of the user does to them."""

    def __init__(self, model: Model, sampling: Sampling, max_tokens: int) -> None:
        self._model = model
        self._sampling = sampling
        self._max_tokens = max_tokens
        self._turns: list[Message] = []

    def hold(self, lines: Iterator[str]) -> None:
        """Answers each line until there are no more, or one of them is /quit."""
        commands: dict[str, Callable[[], None]] = {"/help": lambda: _note(HELP), "/reset": self._reset}
        for line in lines:
            text = line.strip()
            if text == "/quit":
                return
            if text in commands:
                commands[text]()
            elif text.startswith("/"):
                _note(f"{text.split()[0]} is not a command. {HELP}")
            elif text:
                self._answer(text)

    def _reset(self) -> None:
        self._turns.clear()
        _note("The conversation is forgotten.")

    def _answer(self, text: str) -> None:
        """Shows the answer to `text`. A stopped answer stays in the conversation as far as it came."""
        asked = [*self._turns, Message("user", text)]
        answer = Answer()
        said: list[str] = []
        try:
            with self._model.stream_chat(asked, max_tokens=self._max_tokens, sampling=self._sampling) as stream:
                for delta in stream:
                    answer.write(delta)
                    said.append(delta)
                remark = summary(stream.completion)
        except KeyboardInterrupt:
            remark = "stopped"
        except (ContextOverflow, CapacityError) as error:
            remark = f"{error} /reset starts anew."
        answer.end_line()
        _note(remark)
        if said:
            self._turns = [*asked, Message("assistant", "".join(said))]


def _lines() -> Iterator[str]:
    """What the user types, with editing and recall in a terminal; plain lines when standard input is a pipe."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        for line in sys.stdin.buffer:
            yield line.decode("utf-8", "surrogateescape")
        return
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import InMemoryHistory  # recall within this session; nothing is kept on disk

    session: PromptSession[str] = PromptSession(history=InMemoryHistory())
    while True:
        try:
            yield session.prompt("> ")
        except KeyboardInterrupt:
            _note("/quit or Ctrl-D leaves.")
        except EOFError:
            return


def _note(text: str) -> None:
    """A remark of the program, on standard error and dimmed, so that it is not taken for the model's words."""
    shown = printable(text)
    print(f"\x1b[2m{shown}\x1b[0m" if sys.stderr.isatty() else shown, file=sys.stderr, flush=True)
