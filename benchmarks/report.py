"""Turns samples into a document that JSON can hold, and that into a table for people."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rows import OURS, Row

Limits = Mapping[tuple[int, str | None], Mapping[str, float]]
"""(threads, target) → what the machine can do with them; see machine.py."""


@dataclass
class Measured:
    """A row and what came of it. samples: engine → one figure a round. failures: engine → why there is none."""

    row: Row
    threads: int
    samples: dict[str, list[float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    per_token: Mapping[str, float] = field(default_factory=dict)


def as_document(
    measured: list[Measured], engines: dict[str, dict[str, Any]], cpu: str, threads: int, limits: Limits
) -> dict[str, Any]:
    """Everything that was measured. A ratio above 1 means that gemwright is better."""
    return {
        "taken": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": {"cpu": cpu, "threads": threads},
        "limits": [{"threads": n, "target": target, **found} for (n, target), found in limits.items()],
        "engines": engines,
        "rows": [_row(one, limits.get((one.threads, one.row.target), {})) for one in measured],
    }


def as_table(document: dict[str, Any]) -> str:
    """The medians side by side with ratios, goals and how near the machine's limits our own figure is."""
    peers = list(dict.fromkeys(name for row in document["rows"] for name in row["peers"] if _was_asked(row, name)))
    head = f"{'':<36}{OURS:>11}" + "".join(f"{name:>28}" for name in peers) + f"{'memory':>9}{'int8':>6}"
    notes: list[str] = []
    lines = [head]
    for row in document["rows"]:
        cells = "".join(_cell(row, peer, notes) for peer in peers)
        use = row["use_of_limits"]
        lines.append(
            f"{row['name'] + ', ' + row['unit']:<36}{_median(row, OURS, notes):>11}{cells}"
            f"{_percent(use.get('memory')):>9}{_percent(use.get('int8')):>6}"
        )
    machine = document["machine"]
    lines += [
        "",
        f"{machine['cpu']}, {machine['threads']} threads. × above 1: gemwright is better; then the goal.",
    ]
    lines += [_limit_line(limit) for limit in document["limits"]]
    return "\n".join(lines + [f"[{i + 1}] {note}" for i, note in enumerate(notes)])


def write_json(document: dict[str, Any], folder: Path) -> Path:
    """The file's path, named after the day, the CPU and the number of threads."""
    folder.mkdir(parents=True, exist_ok=True)
    cpu = re.sub(r"[^a-z0-9]+", "-", document["machine"]["cpu"].lower()).strip("-")
    path = folder / f"{document['taken'][:10]}-{cpu}-{document['machine']['threads']}t.json"
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path


def _row(one: Measured, limits: Mapping[str, float]) -> dict[str, Any]:
    medians = {name: statistics.median(values) for name, values in one.samples.items()}
    ours = medians.get(OURS)
    more = one.row.work.more_is_better
    ratios = {
        name: ours / other if more else other / ours
        for name, other in medians.items()
        if name != OURS and ours is not None
    }
    described = asdict(one.row)
    described["work"] = asdict(one.row.work)
    return {
        **described,
        "unit": one.row.work.unit,
        "threads": one.threads,
        "medians": medians,
        "ratios": ratios,
        "reached": {name: ratios[name] >= goal for name, goal in one.row.peers.items() if goal and name in ratios},
        "failures": one.failures,
        "samples": one.samples,
        "use_of_limits": _use_of_limits(one, ours, limits),
    }


def _use_of_limits(one: Measured, ours: float | None, limits: Mapping[str, float]) -> dict[str, float]:
    """What share of the measured memory bandwidth and of the measured int8 multiplications our own median takes.

    A decoding step reads the weights once and each sequence's keys and values; a prefill multiplies by the layers
    alone, the head being computed once.
    """
    cost = one.per_token
    if ours is None or not cost or not limits:
        return {}
    work = one.row.work
    if work.kind == "prefill":
        return {"int8": ours * cost["layer_multiplications"] / limits["multiplications_per_s"]}
    read = ours * (cost["weight_bytes"] / work.batch + cost["cache_bytes"])
    multiplied = ours * (cost["layer_multiplications"] + cost["head_multiplications"])
    return {"memory": read / limits["read_bytes_per_s"], "int8": multiplied / limits["multiplications_per_s"]}


def _was_asked(row: dict[str, Any], name: str) -> bool:
    return name in row["medians"] or name in row["failures"]


def _cell(row: dict[str, Any], peer: str, notes: list[str]) -> str:
    """The peer's median, the ratio to it, and the goal with its mark."""
    if not _was_asked(row, peer):
        return f"{'–':>28}" if peer in row["peers"] else " " * 28
    ratio, goal = row["ratios"].get(peer), row["peers"][peer]
    compared = f"{ratio:6.2f}×" if ratio is not None else ""
    mark = f" {'✓' if ratio >= goal else '✗'} {goal:.2f}" if ratio is not None and goal else " " * 7 * bool(compared)
    return f"{_median(row, peer, notes) + compared + mark:>28}"


def _median(row: dict[str, Any], name: str, notes: list[str]) -> str:
    if name in row["failures"]:
        notes.append(f"{row['name']}, {name}: {row['failures'][name]}")
        return f"failed [{len(notes)}]"
    return f"{row['medians'][name]:.2f}" if name in row["medians"] else "–"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"


def _limit_line(limit: dict[str, Any]) -> str:
    target = f" with {limit['target']}" if limit["target"] else ""
    read, multiply = limit["read_bytes_per_s"] / 1e9, limit["multiplications_per_s"] / 1e9
    return (
        f"{limit['threads']} threads{target} can read {read:.1f} GB/s and multiply {multiply:.0f} G int8/s (measured); "
        "the last columns are our shares of that."
    )
