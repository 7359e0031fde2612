"""Tokens a second of a greedy continuation that repeats much of its prompt, as JSON.

python benchmarks/copying.py MODEL THREADS TOKENS [--lookup]

`texts/copy.txt` is a list and the beginning of its copy, as editing, quoting and summarising prompts are; the base
Gemma 3 270M goes on copying. With --lookup the engine may guess from the prompt. A plain run comes first, to warm up
and to compare with: guessing must not change a token.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import gemwright

TEXT = Path(__file__).parent / "texts" / "copy.txt"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("threads", type=int)
    parser.add_argument("tokens", type=int)
    parser.add_argument("--lookup", action="store_true")
    asked = parser.parse_args()
    model = gemwright.load(asked.model, threads=asked.threads)
    options: dict[str, Any] = {"max_tokens": asked.tokens, "temperature": 0.0}
    plain = model.generate(TEXT.read_text("utf-8"), **options)
    if asked.lookup:
        options["speculation"] = gemwright.Lookup()
    timed = model.generate(TEXT.read_text("utf-8"), **options)
    if timed.tokens != plain.tokens:
        raise SystemExit("The answer with --lookup is not the plain answer.")
    print(json.dumps({"tokens_per_s": timed.tokens_per_second, "tokens": len(timed.tokens)}))


if __name__ == "__main__":
    main()
