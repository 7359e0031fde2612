"""The table as bars: how many times better gemwright is than each peer, with the goals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

COLOURS = ("#3b6fb6", "#d9822b", "#5a9e6f", "#8e6bb0")


def plot(document: dict[str, Any], path: Path) -> Path:
    """One group of bars per row and one bar per peer, on a logarithmic axis; a black mark is the goal."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    rows = [row for row in document["rows"] if row["ratios"]]
    peers = list(dict.fromkeys(peer for row in rows for peer in row["ratios"]))
    figure, axes = pyplot.subplots(figsize=(9, 1.2 + 0.55 * len(rows)), layout="constrained")
    for number, peer in enumerate(peers):
        bars = [(at, row) for at, row in enumerate(rows) if peer in row["ratios"]]
        ys = [at + _offset(row, peer) for at, row in bars]
        ratios = [row["ratios"][peer] for _, row in bars]
        heights = [0.8 / len(row["ratios"]) for _, row in bars]
        drawn = axes.barh(
            ys, [ratio - 1 for ratio in ratios], heights, left=1, color=COLOURS[number], label=f"vs {peer}"
        )
        axes.bar_label(drawn, [f" {ratio:.2f}× " for ratio in ratios], fontsize=7)
        for y, height, (_, row) in zip(ys, heights, bars, strict=True):
            if goal := row["peers"][peer]:
                axes.vlines(goal, y - height / 2, y + height / 2, color="black", linewidth=2)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=1)
    axes.margins(x=0.12)
    axes.set_xlabel("times better than …   (black mark: goal)")
    machine = document["machine"]
    axes.set_title(f"gemwright on {machine['cpu']}, {machine['threads']} threads, {document['taken'][:10]}")
    axes.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return path


def _offset(row: dict[str, Any], peer: str) -> float:
    """Where the peer's bar lies in its group, whose middle is 0."""
    names = list(row["ratios"])
    return (names.index(peer) - (len(names) - 1) / 2) * 0.8 / len(names)
