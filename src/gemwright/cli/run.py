"""`gemwright run`: one prompt in, one answer out."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Annotated

from gemwright.cli import options
from gemwright.cli.figures import describe, summary
from gemwright.cli.opening import open_model, sampling_from
from gemwright.cli.parser import Argument, Context, Option
from gemwright.cli.terminal import Answer, say
from gemwright.engine.lookup import Lookup
from gemwright.errors import UsageError
from gemwright.messages import Message, Sampling

if TYPE_CHECKING:
    from gemwright.model import Model, Stream

MAX_PROMPT_BYTES = 64 << 20


def command(
    context: Context,
    prompt: Annotated[
        str | None,
        Argument(metavar="PROMPT", help="The text to continue or answer; without it, standard input is read."),
    ] = None,
    model: options.ModelOption = None,
    max_tokens: options.MaxTokensOption = 256,
    temperature: options.TemperatureOption = None,
    top_k: options.TopKOption = None,
    top_p: options.TopPOption = None,
    min_p: options.MinPOption = None,
    seed: options.SeedOption = None,
    stop: options.StopOption = None,
    lookup: options.LookupOption = 0,
    window: options.ContextOption = None,
    threads: options.ThreadsOption = None,
    precision: options.PrecisionOption = "default",
    raw: Annotated[
        bool, Option("--raw", help="Continue the text as it is, even when the model was tuned for chat.")
    ] = False,
    as_json: options.JsonOption = False,
) -> None:
    """Continue a text, or answer it if the model was tuned for chat.

    The answer streams to standard output, its figures go to standard error.
    """
    sampling = sampling_from(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, seed=seed, stop=stop)
    guesses = Lookup(lookup) if lookup else None
    text = prompt_text(prompt)
    started = time.perf_counter()
    opened = open_model(context, model, precision=precision, threads=threads, context_tokens=window)
    load_s = time.perf_counter() - started
    with _stream(opened, text, max_tokens, sampling, guesses, raw) as stream:
        if as_json:
            for _ in stream:
                pass
            say(json.dumps(describe(stream.completion, opened, load_s=load_s)))
        else:
            answer = Answer()
            try:
                for delta in stream:
                    answer.write(delta)
            finally:
                answer.end_line()
            print(summary(stream.completion, load_s=load_s), file=sys.stderr)


def prompt_text(argument: str | None) -> str:
    """The prompt: the argument, or all of standard input less one final newline (`echo` adds one, nobody means it).

    Bytes that are not UTF-8 stay bytes (surrogateescape); the tokenizer knows them. Raises UsageError for none.
    """
    if argument is not None:
        text = argument
    elif sys.stdin.isatty():
        raise UsageError("There is no prompt.", hint='Give one: gemwright run "…", or pipe a text into it.')
    else:
        piped = sys.stdin.buffer.read(MAX_PROMPT_BYTES + 1)
        if len(piped) > MAX_PROMPT_BYTES:
            raise UsageError(f"The prompt on standard input is larger than {MAX_PROMPT_BYTES >> 20} MiB.")
        text = piped.decode("utf-8", "surrogateescape").removesuffix("\n")
    if not text:
        raise UsageError("The prompt is empty.", hint="Give at least one character to continue.")
    return text


def _stream(model: Model, text: str, max_tokens: int, sampling: Sampling, guesses: Lookup | None, raw: bool) -> Stream:
    if model.is_chat_tuned and not raw:
        turns = [Message("user", text)]
        return model.stream_chat(turns, max_tokens=max_tokens, sampling=sampling, speculation=guesses)
    return model.stream(text, max_tokens=max_tokens, sampling=sampling, speculation=guesses)
