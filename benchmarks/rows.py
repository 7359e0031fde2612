"""The table of `make bench`: what is measured, beside whom, and how many times better gemwright wants to be.

A row is declared once, here; the engines of `engines/` know how to measure its work, `report.py` how to show it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

OURS = "gemwright"
PLAIN = "gemwright, plain"
LLAMA = "llama.cpp"
OPENVINO = "OpenVINO"
ONNX = "ONNX Runtime"

DEFAULT_MODEL = "270M"
"""The embedded model; others are random weights in the shapes of `random_model.py`."""


@dataclass(frozen=True)
class Work:
    """What is measured; token counts are per sequence.

    prefill: tokens a second of `prompt` tokens in one go. decode: tokens a second of `batch` sequences together, of
    which each makes `generate` tokens after `depth` others. copy: of a continuation that repeats much of its prompt,
    `generate` tokens long. start: seconds from starting the program to its first byte of answer. memory: MiB of that
    process's peak resident set.
    """

    kind: Literal["prefill", "decode", "copy", "start", "memory"]
    prompt: int = 0
    generate: int = 0
    depth: int = 0
    batch: int = 1

    @property
    def unit(self) -> str:
        return {"start": "s", "memory": "MiB"}.get(self.kind, "tokens/s")

    @property
    def more_is_better(self) -> bool:
        return self.unit == "tokens/s"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    peers: who is measured beside gemwright, and how many times better than them it wants to be, None: for comparison
    only. Better is more tokens a second, or fewer seconds or MiB.
    threads: None for as many as the whole run uses. target: the CPU target both sides are held to, None for the best.
    """

    name: str
    work: Work
    peers: dict[str, float | None] = field(default_factory=dict)
    model: str = DEFAULT_MODEL
    threads: int | None = None
    target: str | None = None


def _prefill(tokens: int) -> Work:
    return Work("prefill", prompt=tokens)


def _decode(tokens: int = 128, *, depth: int = 0, batch: int = 1) -> Work:
    return Work("decode", generate=tokens, depth=depth, batch=batch)


def _random(shape: str, kind: str, tokens: int = 32, shortcut: float | None = None) -> tuple[Row, Row]:
    """shortcut: how many times faster than through all layers a prompt wants to be, where layers share keys."""
    name = model = f"{shape} {kind}"
    peers = {LLAMA: 3.0} if shortcut is None else {LLAMA: 3.0, PLAIN: shortcut}
    return (
        Row(f"{name}, prefill 512", _prefill(512), peers, model=model),
        Row(f"{name}, decode {tokens}", _decode(tokens), {LLAMA: 1.25}, model=model),
    )


ROWS: tuple[Row, ...] = (
    Row("prefill 512", _prefill(512), {LLAMA: 4.0, OPENVINO: 1.2, ONNX: None}),
    Row("prefill 4096", _prefill(4096), {LLAMA: 4.0, OPENVINO: 1.5, ONNX: None}),
    Row("decode 128", _decode(), {LLAMA: 2.0, OPENVINO: None, ONNX: 1.3}),
    Row("decode 128 at depth 4096", _decode(depth=4096), {LLAMA: 2.0, OPENVINO: None, ONNX: 1.3}),
    Row("8 sequences, decode 64", _decode(64, depth=64, batch=8), {LLAMA: 4.0, OPENVINO: 1.5, ONNX: None}),
    Row("16 sequences, decode 64", _decode(64, depth=64, batch=16), {LLAMA: 4.0, OPENVINO: 1.5, ONNX: None}),
    Row("copying with lookup", Work("copy", generate=192), {PLAIN: 2.5}),
    Row("start to first token", Work("start"), {LLAMA: 1 / 0.4}),
    Row("peak memory", Work("memory"), {LLAMA: 1 / 0.8}),
    Row("1 thread, prefill 512", _prefill(512), {LLAMA: 3.0, OPENVINO: None}, threads=1),
    Row("1 thread, decode 128", _decode(), {LLAMA: 1.5, OPENVINO: None}, threads=1),
    *_random("gemma-3-1b", "Q4_0", 64),
    *_random("gemma-3-1b", "Q4_K_M", 64),
    *_random("gemma-3-4b", "Q4_0"),
    *_random("gemma-3-4b", "Q4_K_M"),
    *_random("gemma-2-2b", "Q4_0"),
    *_random("gemma-3n-E2B", "Q4_0", shortcut=1.6),
    *_random("gemma-4-E2B", "Q4_0", shortcut=1.6),
    *_random("gemma-4-26B-A4B-6-layers", "Q4_0"),
    Row("AVX2, prefill 512", _prefill(512), {LLAMA: 1.5}, target="avx2"),
    Row("AVX2, decode 128", _decode(), {LLAMA: 1.2}, target="avx2"),
)


def chosen(names: str) -> list[Row]:
    """The rows whose name contains one of the comma-separated `names`; all for "". Ends the program if none does."""
    wanted = [name.strip().lower() for name in names.split(",") if name.strip()]
    rows = [row for row in ROWS if not wanted or any(name in row.name.lower() for name in wanted)]
    if not rows:
        raise SystemExit(f"No row is called like {names!r}. Rows: {'; '.join(row.name for row in ROWS)}.")
    return rows
