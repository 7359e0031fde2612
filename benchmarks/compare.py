"""Speed of gemwright on this machine, beside llama.cpp when its binaries are given. `make bench PEERS=folder` runs it.

Every measurement is a process of its own, and the engines take turns within each round (A B A B …), because a machine
drifts by tens of percent between two sittings: only ratios inside one run mean anything. Figures are medians over
rounds. llama-bench's own definitions hold for prefill and decode; "start to first token" is the time from starting the
program to its first byte of answer, for a prompt of eleven tokens; peak memory is that process's resident set.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engines import Engine, Gemwright, LlamaCpp, Test
from machine import cpu_name, read_bandwidth
from report import as_document, as_table, save

from gemwright.settings import load_settings
from gemwright.weights import open_checkpoint

TESTS = [
    Test("prefill 512", prompt=512),
    Test("prefill 4096", prompt=4096),
    Test("decode 128", generate=128),
    Test("decode 128 at depth 4096", generate=128, depth=4096),
]
TOOLS = ("llama-bench", "llama-completion")

Samples = dict[str, dict[str, list[float]]]
"""Metric → engine → one value per round."""


def main() -> None:
    """Measures, prints the table and writes the results."""
    options = _options()
    model = _model(options.model)
    threads = options.threads or load_settings().threads
    engines = _engines(options.peers, model, threads)
    samples: Samples = {}
    for round_number in range(options.rounds):
        for metric, engine, value in _round(engines):
            samples.setdefault(metric, {}).setdefault(engine.name, []).append(value)
            progress = f"round {round_number + 1}/{options.rounds}"
            print(f"{progress}  {metric:<34} {engine.name:<10} {value:10.2f}", flush=True)
    stored = sum(tensor.data.nbytes for tensor in open_checkpoint(model).tensors.values())
    limits = {"memory_read_bytes_per_s": read_bandwidth(threads), "bytes_per_token": stored}
    document = as_document(samples, {e.name: e.about() for e in engines}, cpu_name(), threads, model.name, limits)
    print(f"\n{as_table(document)}\n")
    for path in save(document, options.results):
        print(f"written: {path}")


def _round(engines: list[Engine]) -> Iterator[tuple[str, Engine, float]]:
    """Each metric of each engine once, the engines taking turns."""
    for test in TESTS:
        for engine in engines:
            yield f"{test.name}, tokens/s", engine, engine.rate(test)
    for engine in engines:
        started, load_s = engine.start()
        yield "load, s", engine, load_s
        yield "start to first token, s", engine, started.first_output_s
        yield "peak memory, MiB", engine, started.peak_rss_mib


def _engines(peers: str, model: Path, threads: int) -> list[Engine]:
    engines: list[Engine] = [Gemwright(model, threads)]
    if not peers:
        print(
            "PEERS is not set: only gemwright is measured. PEERS=folder with llama-bench and llama-completion compares."
        )
        return engines
    missing = [tool for tool in TOOLS if not (Path(peers) / tool).is_file()]
    if missing:
        print(f"PEERS={peers} has no {' and no '.join(missing)}: only gemwright is measured.")
        return engines
    return [*engines, LlamaCpp(Path(peers), model, threads)]


def _model(path: Path | None) -> Path:
    """The file both engines run: `path`, or the embedded default."""
    if path is not None:
        return path
    from gemwright.embedded import default_model

    return default_model(load_settings().cache_dir, lambda sentence: print(sentence, file=sys.stderr))


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default="", metavar="FOLDER", help="folder of llama.cpp binaries")
    parser.add_argument("--model", type=Path, metavar="FILE", help="a GGUF file; the embedded Gemma 3 270M by default")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of both engines")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how often everything is measured")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results", metavar="FOLDER")
    return parser.parse_args()


if __name__ == "__main__":
    main()
