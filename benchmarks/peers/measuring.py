"""What the programs that run other engines share: their arguments, their tokens, what they print.

It runs in the environments of those engines, so it imports nothing but the standard library.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass

VOCABULARY = 262_144


@dataclass(frozen=True)
class Work:
    """Token counts per sequence; exactly one of `prompt` and `generate` is above 0."""

    model: str
    threads: int
    prompt: int
    generate: int
    depth: int
    batch: int


def work_from_arguments() -> Work:
    """What the command line asks for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    for name, default in [("threads", 1), ("prompt", 0), ("generate", 0), ("depth", 0), ("batch", 1)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    return Work(**vars(parser.parse_args()))


def tokens_of(work: Work, sequence: int) -> list[int]:
    """A prompt of ordinary tokens that differs from sequence to sequence, at least one token long."""
    count = max(work.prompt or work.depth, 1)
    return [1000 + (7919 * (i + 131 * sequence)) % (VOCABULARY - 2000) for i in range(count)]


def report(work: Work, run: Callable[[int], tuple[float, float]], version: str) -> None:
    """Prints {"tokens_per_s", "version"}.

    run(n): seconds until every sequence has its first token, and of `n` more tokens of each. It is called twice: the
    first time warms up.
    """
    run(work.generate)
    prompt_s, generate_s = run(work.generate)
    rate = work.prompt / prompt_s if work.prompt else work.generate / generate_s
    print(json.dumps({"tokens_per_s": work.batch * rate, "version": version}))
