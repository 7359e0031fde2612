"""Speed of gemwright on this machine, beside its peers where they are set up. `make bench PEERS=folder` runs it.

Every measurement is a process of its own, and the engines take turns within each round (A B C, then B C A, …), because
a machine drifts by tens of percent between two sittings: only ratios inside one run mean anything. Figures are medians
over rounds. What is measured is declared in rows.py; llama-bench's definitions hold for prefill and decode.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from engines import Engine, Gemwright, Job, LlamaCpp, VenvPeer
from engines.llamacpp import TOOLS
from machine import cpu_name, measured_limits
from plot import plot
from processes import Failed
from random_model import random_model
from report import Measured, as_document, as_table, write_json
from rows import DEFAULT_MODEL, LLAMA, ONNX, OPENVINO, OURS, PLAIN, Row, chosen

from gemwright.embedded import default_model
from gemwright.settings import load_settings

PEERS_HOME = Path("~/.cache/gemwright-peers").expanduser()


def main() -> None:
    """Measures, prints the table and writes the results."""
    options = _options()
    rows = chosen(options.rows)
    threads = options.threads or load_settings().threads
    engines = available(options.peers)
    measured = [Measured(row, row.threads or threads) for row in rows]
    limits = _limits(measured)
    for round_number in range(options.rounds):
        for one in measured:
            _measure(one, engines, round_number, options)
    about = {name: engine.about() for name, engine in engines.items()}
    document = as_document(measured, about, cpu_name(), threads, limits)
    print(f"\n{as_table(document)}\n")
    written = write_json(document, options.results)
    print(f"written: {written}")
    if any(row["ratios"] for row in document["rows"]):
        print(f"written: {plot(document, written.with_suffix('.png'))}")


def available(peers: str) -> dict[str, Engine]:
    """Every engine that can be asked, by name. peers: as PEERS of the Makefile.

    That is a folder of llama.cpp's programs, or the folder `make bench-peers` made. Without it gemwright is alone.
    """
    engines: dict[str, Engine] = {OURS: Gemwright(), PLAIN: Gemwright(plain=True)}
    if not peers:
        print("PEERS is not set: only gemwright is measured. `make bench-peers` sets up others; README.md says how.")
        return engines
    folder = Path(peers).expanduser()
    home = folder if (folder / "llama").is_dir() else PEERS_HOME
    native = folder if (folder / TOOLS[0]).is_file() else folder / "llama" / "wrapped"
    if not (native / TOOLS[0]).is_file():
        raise SystemExit(f"PEERS={peers} has neither {TOOLS[0]} nor what `make bench-peers` sets up.")
    binaries = {None: native}
    if (home / "llama-avx2" / "wrapped").is_dir():
        binaries["avx2"] = home / "llama-avx2" / "wrapped"
    engines[LLAMA] = LlamaCpp(binaries)
    for name, program in [(OPENVINO, "openvino_run.py"), (ONNX, "onnxruntime_run.py")]:
        environment = home / name.lower().replace(" ", "")
        if environment.is_dir():
            engines[name] = VenvPeer(environment, program)
    return engines


def _measure(one: Measured, engines: dict[str, Engine], round_number: int, options: argparse.Namespace) -> None:
    """One figure of each engine for a row. What failed before is not tried again."""
    names = [name for name in (OURS, *one.row.peers) if name in engines and name not in one.failures]
    turn = round_number % max(len(names), 1)
    for name in names[turn:] + names[:turn]:
        time.sleep(options.pause)
        shown = f"round {round_number + 1}/{options.rounds}  {one.row.name:<28} {name:<17}"
        try:
            job = Job(one.row.work, _model(one.row, options.model), one.threads, one.row.target)
            figure = engines[name].measure(job)
        except Failed as failure:
            one.failures[name] = str(failure)
            print(f"{shown} failed: {failure}", flush=True)
            continue
        one.samples.setdefault(name, []).append(figure)
        if name == OURS:
            one.per_token = engines[name].per_token(job.work)
        print(f"{shown} {figure:10.2f} {one.row.work.unit}", flush=True)


def _limits(measured: list[Measured]) -> dict[tuple[int, str | None], dict[str, float]]:
    """What the machine can do, for each number of threads and CPU target among the rows."""
    settings = {(one.threads, one.row.target) for one in measured}
    return {setting: measured_limits(*setting) for setting in sorted(settings, key=str)}


def _model(row: Row, default: Path | None) -> Path:
    """The file all engines of the row run."""
    if row.model != DEFAULT_MODEL:
        return random_model(row.model)
    if default is not None:
        return default
    tell: Callable[[str], None] = lambda sentence: print(sentence, file=sys.stderr)  # noqa: E731
    return default_model(load_settings().cache_dir, tell)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default="", metavar="FOLDER", help="llama.cpp's programs, or what bench-peers made")
    parser.add_argument("--rows", default="", metavar="NAMES", help="only rows whose name contains one of these")
    parser.add_argument("--model", type=Path, metavar="FILE", help="a GGUF file instead of the embedded Gemma 3 270M")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of all engines; every CPU by default")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how often everything is measured")
    parser.add_argument("--pause", type=float, default=1.0, metavar="S", help="seconds of rest before each measurement")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results", metavar="FOLDER")
    return parser.parse_args()


if __name__ == "__main__":
    main()
