"""The engines that are compared, each driven through its own command line, one process per measurement."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from processes import Started, run_to_first_output

PROMPT = "The ocean covers most of our planet. Its waters"


@dataclass(frozen=True)
class Test:
    """Tokens a second of `prompt` or `generate` tokens after `depth` others; exactly one of the two is above 0."""

    name: str
    prompt: int = 0
    generate: int = 0
    depth: int = 0


class Engine(Protocol):
    """What can be measured about an engine."""

    name: str

    def rate(self, test: Test) -> float:
        """Tokens a second of one repetition after one warm-up run, in a process of its own."""

    def start(self) -> tuple[Started, float]:
        """One answer of one token in a process of its own, and the seconds that process says loading took."""

    def about(self) -> dict[str, Any]:
        """Version, build and CPU target, as the engine itself says."""


class Gemwright:
    """This package, as installed for the Python that runs the benchmark."""

    name = "gemwright"

    def __init__(self, model: Path, threads: int) -> None:
        self._command = [sys.executable, "-m", "gemwright"]
        self._model = str(model)
        self._threads = str(threads)
        self._about: dict[str, Any] = {}

    def rate(self, test: Test) -> float:
        counts = ["--prompt", str(test.prompt), "--generate", str(test.generate), "--depth", str(test.depth)]
        found = _json([*self._command, "bench", self._model, "-t", self._threads, *counts, "--repeat", "1", "--json"])
        self._about = found["model"]
        return float(found["prefill_tokens_per_s" if test.prompt else "decode_tokens_per_s"])

    def start(self) -> tuple[Started, float]:
        options = ["-m", self._model, "-t", self._threads, "-n", "1", "--temperature", "0"]
        started = run_to_first_output([*self._command, "run", *options, PROMPT])
        return started, _seconds(r"loaded in ([\d.]+) s", started.stderr)

    def about(self) -> dict[str, Any]:
        return self._about


class LlamaCpp:
    """llama.cpp, from a folder of its binaries."""

    name = "llama.cpp"

    def __init__(self, binaries: Path, model: Path, threads: int) -> None:
        self._binaries = binaries
        self._model = str(model)
        self._threads = str(threads)
        self._about: dict[str, Any] = {}

    def rate(self, test: Test) -> float:
        counts = ["-p", str(test.prompt), "-n", str(test.generate), "-d", str(test.depth)]
        tool = str(self._binaries / "llama-bench")
        [found] = _json([tool, "-m", self._model, "-t", self._threads, *counts, "-r", "1", "-o", "json"])
        self._about = {key: found[key] for key in ("build_number", "build_commit", "cpu_info", "backends")}
        return float(found["avg_ts"])

    def start(self) -> tuple[Started, float]:
        options = ["-m", self._model, "-t", self._threads, "-n", "1", "--temp", "0", "-no-cnv", "--no-display-prompt"]
        started = run_to_first_output([str(self._binaries / "llama-completion"), *options, "-p", PROMPT])
        return started, _seconds(r"load time\s*=\s*([\d.]+) ms", started.stderr) / 1e3

    def about(self) -> dict[str, Any]:
        return self._about


def _json(command: list[str]) -> Any:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{Path(command[0]).name} failed with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def _seconds(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    if found is None:
        raise SystemExit(f"No {pattern!r} in what the program printed:\n{text[-2000:]}")
    return float(found.group(1))
