"""Options that several commands share, spelled once: names, help and defaults are the same everywhere.

Ranges are not checked here: `Sampling`, `Settings` and the loader do, for every way in.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from gemwright.cli.parser import Argument, Option

Precision: TypeAlias = Literal["default", "exact"]

ModelArgument = Annotated[str, Argument(metavar="MODEL", help="A .gguf or .safetensors file, or a folder.")]
ModelOption = Annotated[
    str | None,
    Option("--model", "-m", metavar="MODEL", help="A model's file or folder; the embedded one by default."),
]
ThreadsOption = Annotated[
    int | None,
    Option("--threads", "-t", metavar="N", help="Threads; by default every CPU this process may use."),
]
PrecisionOption = Annotated[
    Precision,
    Option("--precision", metavar="NAME", help="default is fast; exact computes as float32 math would, slower."),
]
ContextOption = Annotated[
    int | None,
    Option("--context", "-c", metavar="N", help="Room for this many tokens of prompt and answer; 8192 by default."),
]
MaxTokensOption = Annotated[int, Option("--max-tokens", "-n", metavar="N", help="At most this many tokens of answer.")]
TemperatureOption = Annotated[
    float | None,
    Option("--temperature", metavar="T", help="0 always takes the likeliest token; the model's default is 1."),
]
TopKOption = Annotated[
    int | None, Option("--top-k", metavar="K", help="Draw among the K likeliest tokens; 0: all. Default 64.")
]
TopPOption = Annotated[
    float | None,
    Option("--top-p", metavar="P", help="Draw among the likeliest tokens of joint probability P. Default 0.95."),
]
MinPOption = Annotated[
    float | None,
    Option("--min-p", metavar="P", help="Leave out tokens below P times the likeliest one's probability."),
]
SeedOption = Annotated[int | None, Option("--seed", metavar="S", help="The same seed and prompt give the same answer.")]
LookupOption = Annotated[
    int,
    Option(
        "--lookup",
        metavar="N",
        help="Guess up to N tokens at a time from what the text repeats: the same answer, sooner. 16 is good; 0: off.",
    ),
]
StopOption = Annotated[
    list[str] | None,
    Option("--stop", metavar="TEXT", help="End the answer before TEXT; may be given several times."),
]
JsonOption = Annotated[bool, Option("--json", help="Print one JSON object instead of text, errors included.")]
