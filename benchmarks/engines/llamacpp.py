"""llama.cpp, from a folder of its binaries."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from processes import Failed, last_json, run_to_first_output
from rows import Work

from engines.gemwright import PROMPT
from engines.protocol import Job

TOOLS = ("llama-bench", "llama-batched-bench", "llama-completion")


class LlamaCpp:
    """binaries: by CPU target; None holds the build for this machine's CPU."""

    def __init__(self, binaries: dict[str | None, Path]) -> None:
        self._binaries = binaries
        self._about: dict[str, Any] = {}

    def measure(self, job: Job) -> float:
        if job.work.kind in ("start", "memory"):
            started = run_to_first_output(self._start_command(job))
            return started.first_output_s if job.work.kind == "start" else started.peak_rss_mib
        if job.work.batch > 1:
            return float(last_json(self._batch_command(job))["speed_tg"])
        [found] = last_json(self._bench_command(job))
        self._about = {key: found[key] for key in ("build_number", "build_commit", "cpu_info", "backends")}
        return float(found["avg_ts"])

    def per_token(self, _: Work) -> Mapping[str, float]:
        return {}

    def about(self) -> dict[str, Any]:
        return self._about

    def _start_command(self, job: Job) -> list[str]:
        options = ["-t", str(job.threads), "-n", "1", "--temp", "0", "-no-cnv", "--no-display-prompt", "-p", PROMPT]
        return [self._tool("llama-completion", job), "-m", str(job.model), *options]

    def _bench_command(self, job: Job) -> list[str]:
        work = job.work
        counts = ["-p", str(work.prompt), "-n", str(work.generate), "-d", str(work.depth)]
        tool = self._tool("llama-bench", job)
        return [tool, "-m", str(job.model), "-t", str(job.threads), *counts, "-r", "1", "-o", "json"]

    def _batch_command(self, job: Job) -> list[str]:
        work = job.work
        context = work.batch * (work.depth + work.generate)
        counts = ["-npp", str(work.depth), "-ntg", str(work.generate), "-npl", str(work.batch), "-c", str(context)]
        threads = ["-t", str(job.threads), "-tb", str(job.threads)]
        tool = self._tool("llama-batched-bench", job)
        return [tool, "-m", str(job.model), *threads, *counts, "--output-format", "jsonl"]

    def _tool(self, name: str, job: Job) -> str:
        folder = self._binaries.get(job.target)
        if folder is None:
            kind = f"built for {job.target} alone" if job.target else "for this machine"
            raise Failed(f"there is no llama.cpp {kind}; `make bench-peers` builds one")
        if not (folder / name).is_file():
            raise Failed(f"{folder} has no {name}")
        return str(folder / name)
