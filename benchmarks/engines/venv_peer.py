"""An engine that is a Python package: a small program of ours runs it in an environment of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from processes import Failed, last_json
from rows import DEFAULT_MODEL, Work

from engines.protocol import Job

PROGRAMS = Path(__file__).parents[1] / "peers"


class VenvPeer:
    """folder: the environment `make bench-peers` made, with the converted model in `model`. program: in `peers/`."""

    def __init__(self, folder: Path, program: str) -> None:
        self._folder = folder
        self._program = PROGRAMS / program
        self._about: dict[str, Any] = {}

    def measure(self, job: Job) -> float:
        if job.work.kind not in ("prefill", "decode") or job.target:
            raise Failed("it is not driven for this")
        model = self._folder / "model"
        if not (model / "config.json").is_file() and not (model / "genai_config.json").is_file():
            raise Failed(f"there is no {DEFAULT_MODEL} of its own format in {model}; `make bench-peers` makes it")
        work = job.work
        counts = {"prompt": work.prompt, "generate": work.generate, "depth": work.depth, "batch": work.batch}
        options = [text for name, count in counts.items() for text in (f"--{name}", str(count))]
        python = str(self._folder / "bin" / "python")
        found = last_json([python, str(self._program), str(model), "--threads", str(job.threads), *options])
        self._about = {"version": found["version"]}
        return float(found["tokens_per_s"])

    def per_token(self, _: Work) -> Mapping[str, float]:
        return {}

    def about(self) -> dict[str, Any]:
        return self._about
