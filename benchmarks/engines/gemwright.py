"""This package, as installed for the Python that runs the benchmark."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from processes import last_json, run_to_first_output
from rows import Work

from engines.protocol import Job

PROMPT = "The ocean covers most of our planet. Its waters"
COPYING, LONG_WAY = (Path(__file__).parents[1] / name for name in ("copying.py", "long_way.py"))


class Gemwright:
    """`plain`: a continuation that repeats its prompt is not guessed, and a prompt passes through every layer."""

    def __init__(self, *, plain: bool = False) -> None:
        self._plain = plain
        self._about: dict[str, Any] = {}
        self._per_token: dict[str, float] = {}

    def measure(self, job: Job) -> float:
        if job.work.kind in ("start", "memory"):
            started = run_to_first_output(start_command(job), _environment(job))
            return started.first_output_s if job.work.kind == "start" else started.peak_rss_mib
        if job.work.kind == "copy":
            lookup = [] if self._plain else ["--lookup"]
            command = [sys.executable, str(COPYING), str(job.model), str(job.threads), str(job.work.generate), *lookup]
            return float(last_json(command, _environment(job))["tokens_per_s"])
        if self._plain:
            command = [sys.executable, str(LONG_WAY), str(job.model), str(job.threads), str(job.work.prompt)]
            return float(last_json(command, _environment(job))["tokens_per_s"])
        found = last_json(_bench_command(job), _environment(job))
        self._about = found["model"]
        self._per_token = found["per_token"]
        return float(found[f"{job.work.kind}_tokens_per_s"])

    def per_token(self, work: Work) -> Mapping[str, float]:
        return self._per_token if work.kind in ("prefill", "decode") else {}

    def about(self) -> dict[str, Any]:
        return self._about


def start_command(job: Job) -> list[str]:
    """A person's first answer: one token."""
    options = ["-m", str(job.model), "-t", str(job.threads), "-n", "1", "--temperature", "0"]
    return [sys.executable, "-m", "gemwright", "run", *options, PROMPT]


def _bench_command(job: Job) -> list[str]:
    work = job.work
    counts = {"--prompt": work.prompt, "--generate": work.generate, "--depth": work.depth, "--batch": work.batch}
    options = [text for name, count in counts.items() for text in (name, str(count))]
    program = [sys.executable, "-m", "gemwright", "bench", str(job.model), "-t", str(job.threads)]
    return [*program, *options, "--repeat", "1", "--json"]


def _environment(job: Job) -> dict[str, str]:
    return {**os.environ, **({"GEMWRIGHT_TARGET": job.target} if job.target else {})}
