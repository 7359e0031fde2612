"""`gemwright bench`: how fast a model runs here, in the terms of llama-bench.

`--prompt`, `--generate` and `--depth` are llama-bench's -p, -n and -d. `--batch` runs that many sequences side by side
and counts the tokens of all.
"""

from __future__ import annotations

import json
import statistics
from typing import TYPE_CHECKING, Annotated, Any

from gemwright.cli import options
from gemwright.cli.opening import open_model
from gemwright.cli.parser import Argument, Context, Option
from gemwright.cli.terminal import say

if TYPE_CHECKING:
    from gemwright.cli.throughput import Workload
    from gemwright.model import Model


def command(
    context: Context,
    model: Annotated[
        str | None, Argument(metavar="MODEL", help="A model's file or folder; else the embedded one.")
    ] = None,
    threads: options.ThreadsOption = None,
    precision: options.PrecisionOption = "default",
    prompt: Annotated[int, Option("--prompt", "-p", metavar="N", help="Prompt tokens to process.")] = 512,
    generate: Annotated[int, Option("--generate", "-n", metavar="N", help="Tokens to generate.")] = 128,
    depth: Annotated[int, Option("--depth", "-d", metavar="N", help="Tokens already in the context.")] = 0,
    batch: Annotated[int, Option("--batch", "-b", metavar="N", help="Sequences side by side.")] = 1,
    repeat: Annotated[int, Option("--repeat", "-r", metavar="N", help="Timed repetitions of each test.")] = 5,
    as_json: options.JsonOption = False,
) -> None:
    """Measure how fast a model runs here.

    Each test has one warm-up run, then the median of the repetitions is shown. Options mean what llama-bench's mean.
    """
    from gemwright.cli.passage import PASSAGE
    from gemwright.cli.throughput import Workload, measure

    work = Workload(prompt, generate, depth, batch, repeat)
    opened = open_model(context, model, precision=precision, threads=threads)
    rates = measure(opened.network, work, opened.encode(PASSAGE))
    if as_json:
        say(json.dumps(_as_dict(rates, work, opened)))
        return
    for name, values in rates.items():
        say(
            f"{name:<8}{statistics.median(values):10.1f} tokens/s"
            f"   (min {min(values):.1f}, max {max(values):.1f}, {len(values)} runs)"
        )


def _as_dict(rates: dict[str, list[float]], work: Workload, model: Model) -> dict[str, Any]:
    out: dict[str, Any] = {
        "model": model.describe(),
        "per_token": vars(model.network.cost(work.depth)),
        **{name: getattr(work, name) for name in ("prompt", "generate", "depth", "batch", "repeat")},
    }
    for name, values in rates.items():
        out[f"{name}_tokens_per_s"] = statistics.median(values)
        out[f"{name}_tokens_per_s_min"] = min(values)
        out[f"{name}_tokens_per_s_max"] = max(values)
        out[f"{name}_runs"] = values
    return out
