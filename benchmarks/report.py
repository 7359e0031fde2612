"""Turns samples into a document, a table for people, and files: JSON and a plot."""

from __future__ import annotations

import json
import re
import statistics
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

OURS = "gemwright"


def as_document(
    samples: dict[str, dict[str, list[float]]],
    engines: dict[str, dict[str, Any]],
    cpu: str,
    threads: int,
    model: str,
    limits: dict[str, float],
) -> dict[str, Any]:
    """Everything that was measured, as JSON can hold it. A ratio above 1 means that gemwright is better."""
    metrics = {}
    for metric, by_engine in samples.items():
        medians = {engine: statistics.median(values) for engine, values in by_engine.items()}
        ratios = {engine: _ratio(metric, medians[OURS], other) for engine, other in medians.items() if engine != OURS}
        metrics[metric] = {"medians": medians, "ratios": ratios, "samples": by_engine}
    return {
        "taken": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": {"cpu": cpu, "threads": threads},
        "model": model,
        "engines": engines,
        "limits": {**limits, "decode_tokens_per_s": limits["memory_read_bytes_per_s"] / limits["bytes_per_token"]},
        "metrics": metrics,
    }


def as_table(document: dict[str, Any]) -> str:
    """The medians side by side, with ratios and the machine's limits."""
    names = list(document["engines"])
    others = [name for name in names if name != OURS]
    head = f"{'':<34}" + "".join(f"{name:>14}" for name in names) + "".join(f"{'vs ' + name:>14}" for name in others)
    lines = [head]
    for metric, found in document["metrics"].items():
        medians = "".join(f"{found['medians'][name]:14.2f}" for name in names)
        ratios = "".join(f"{found['ratios'][name]:13.2f}×" for name in others)
        lines.append(f"{metric:<34}{medians}{ratios}")
    limits = document["limits"]
    lines += [
        "",
        f"{document['machine']['cpu']}, {document['machine']['threads']} threads, {document['model']}. "
        "× above 1: gemwright is better.",
        f"Memory read: {limits['memory_read_bytes_per_s'] / 1e9:.1f} GB/s; a decoded token reads "
        f"{limits['bytes_per_token'] / 1e6:.0f} MB of weights as stored: at most "
        f"{limits['decode_tokens_per_s']:.0f} tokens/s from memory alone.",
    ]
    return "\n".join(lines)


def save(document: dict[str, Any], folder: Path) -> list[Path]:
    """Paths of the JSON and the plot, named after the day and the CPU."""
    folder.mkdir(parents=True, exist_ok=True)
    cpu = re.sub(r"[^a-z0-9]+", "-", document["machine"]["cpu"].lower()).strip("-")
    stem = folder / f"{document['taken'][:10]}-{cpu}-{document['machine']['threads']}t"
    written = [stem.with_suffix(".json")]
    written[0].write_text(json.dumps(document, indent=1) + "\n")
    if len(document["engines"]) > 1:
        written.append(stem.with_suffix(".png"))
        _plot(document, written[1])
    return written


def _plot(document: dict[str, Any], path: Path) -> None:
    """One bar per metric and peer: how many times better gemwright is."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 4), layout="constrained")
    for peer in (name for name in document["engines"] if name != OURS):
        metrics = list(document["metrics"])[::-1]
        bars = axes.barh(metrics, [document["metrics"][metric]["ratios"][peer] for metric in metrics])
        axes.bar_label(bars, fmt="%.2f×", padding=3)
        axes.axvline(1, color="black", linewidth=1)
        axes.set_xlabel(f"times better than {peer}")
    axes.margins(x=0.12)
    axes.set_title(f"{document['model']} on {document['machine']['cpu']}, {document['machine']['threads']} threads")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _ratio(metric: str, ours: float, other: float) -> float:
    """Above 1 when ours is better: more tokens a second, or fewer seconds or bytes."""
    return ours / other if metric.endswith("tokens/s") else other / ours
