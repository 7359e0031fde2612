"""`gemwright perplexity`: how well a model predicts a text, by llama-perplexity's method, so that figures compare.

The text (less one final newline) is tokenised with BOS in front and cut into chunks of `context` tokens; what is left
over is not scored. The first token of each chunk is replaced by BOS, and only the second half of a chunk is scored,
so that every scored token has at least half a context before it. Perplexity = exp(mean negative log-probability).
Source: llama.cpp tools/perplexity/perplexity.cpp, `perplexity` and `process_logits`, build 11434.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from gemwright.cli import options
from gemwright.cli.opening import open_model
from gemwright.cli.parser import Argument, Context, Option
from gemwright.cli.terminal import say
from gemwright.errors import FileError, UsageError

if TYPE_CHECKING:
    from gemwright.step import F32

MIN_CONTEXT = 4


@dataclass(frozen=True)
class Perplexity:
    """A running or final result; `uncertainty` is one standard error, carried over to the perplexity."""

    chunks: int
    scored_tokens: int
    perplexity: float
    uncertainty: float


def command(
    context: Context,
    model: options.ModelArgument,
    file: Annotated[Path, Argument(metavar="FILE", help="A text in UTF-8.")],
    window: Annotated[int, Option("--context", "-c", metavar="N", help="Tokens of one chunk.")] = 512,
    threads: options.ThreadsOption = None,
    precision: options.PrecisionOption = "default",
    as_json: options.JsonOption = False,
) -> None:
    """Measure how well a model predicts a text.

    The method is llama-perplexity's, so the figures compare.
    """
    text = read_text(file)
    opened = open_model(context, model, precision=precision, threads=threads)
    result: Perplexity | None = None
    for result in running(opened.score, opened.encode(text), window, opened.bos_id):
        if not as_json:
            print(f"[{result.chunks}] {result.perplexity:.4f}", end="  ", file=sys.stderr, flush=True)
    assert result is not None  # `running` refuses a text of less than two chunks
    if as_json:
        say(json.dumps({"context": window, **vars(result), "model": opened.describe()}))
    else:
        print(file=sys.stderr)
        say(
            f"perplexity {result.perplexity:.4f} ± {result.uncertainty:.4f}   "
            f"({result.chunks} chunks of {window} tokens, {result.scored_tokens} scored)"
        )


def read_text(path: Path) -> str:
    """The text at `path` less one final newline; bytes that are not UTF-8 stay bytes (surrogateescape)."""
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape").removesuffix("\n")
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}.") from error


def running(score: Callable[[Sequence[int]], F32], ids: Sequence[int], context: int, bos: int) -> Iterator[Perplexity]:
    """The result after each chunk. `score(tokens)[i]` is the log-probability of tokens[i + 1] given tokens[: i + 1].

    Raises UsageError for a context that cannot be and for a text shorter than two chunks.
    """
    if context < MIN_CONTEXT:
        raise UsageError(f"--context is {context}: it must be at least {MIN_CONTEXT}.")
    if len(ids) < 2 * context:
        raise UsageError(
            f"The text has {len(ids)} tokens: {2 * context} are needed with --context {context}.",
            hint="Give a longer text or a smaller --context.",
        )
    total = squares = 0.0
    scored = 0
    for chunk in range(len(ids) // context):
        tokens = [bos, *ids[chunk * context + 1 : (chunk + 1) * context]]
        losses = [-float(value) for value in score(tokens)[context // 2 :]]
        total += math.fsum(losses)
        squares += math.fsum(loss * loss for loss in losses)
        scored += len(losses)
        yield _result(chunk + 1, scored, total / scored, squares / scored)


def _result(chunks: int, scored: int, mean: float, mean_square: float) -> Perplexity:
    variance = max(mean_square - mean * mean, 0.0)
    value = math.exp(mean)
    return Perplexity(chunks, scored, value, value * math.sqrt(variance / (scored - 1)) if scored > 1 else 0.0)
