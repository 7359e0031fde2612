"""Measures what each optimisation level costs and gains on this machine; writes docs/reference/levels.json.

    python scripts/make_bf16_checkpoint.py FOLDER
    python scripts/measure_levels.py FOLDER

FOLDER holds float weights, which are the reference: `performance` on a bf16 checkpoint computes with exactly these.
Perplexity and KL are taken over the second half of chunks of 512 tokens, two of each text; KL(reference ‖ level) in
nats. Speed is prefill of 256 tokens and decoding of 48 on one thread, in tokens for each second of its processor time,
so that other work on the machine matters little; levels take turns, and medians count. `make docs` makes the page.
"""

from __future__ import annotations

import json
import math
import platform
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from gemwright import ops
from gemwright.cli.passage import PASSAGE
from gemwright.cli.throughput import Workload, measure
from gemwright.models import ARCHITECTURES, Network, describe
from gemwright.settings import load_settings
from gemwright.text.tokenizer import Tokenizer
from gemwright.weights import LEVELS, Checkpoint, open_checkpoint, plan_types
from gemwright.weights.levels import bits_per_value
from support.grouping import in_chunks
from support.real_model import log_probabilities

ROOT = Path(__file__).resolve().parent.parent
TEXTS = (*(ROOT / "tests" / "data" / f"{name}.txt" for name in ("english", "code", "declaration", "stories")),
         Path("/usr/share/common-licenses/GPL-3"))  # fmt: skip
NAMES = ("maximum_efficiency", "balanced", "performance")
REFERENCE = "performance"
CONTEXT, CHUNKS, SLICE = 512, 2, 64
TURNS = 5


def main(folder: Path) -> None:
    ops.configure(load_settings())
    checkpoint = open_checkpoint(folder)
    networks = {name: build(checkpoint, name) for name in NAMES}
    quality = {text.stem: judge(networks, checkpoint, text) for text in TEXTS if text.exists()}
    speed = race(networks, Tokenizer.from_checkpoint(checkpoint).encode(PASSAGE))
    levels = {
        name: {
            **sizes(replace(checkpoint, level=name)),
            "texts": {text: found[name] for text, found in quality.items()},
            **speed[name],
        }
        for name in NAMES
    }
    record = {"source": "Gemma 3 270M, the default model decoded to bf16", "machine": machine(), "levels": levels}
    (ROOT / "docs" / "reference" / "levels.json").write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    print(json.dumps(record, indent=2))


def build(checkpoint: Checkpoint, level: str) -> Network:
    return ARCHITECTURES[checkpoint.architecture].build(replace(checkpoint, level=level), LEVELS[level].precision)


def sizes(checkpoint: Checkpoint) -> dict[str, float]:
    """Bytes of all weights at the level, and bits of one: of all, and of the layers' matrices."""
    tensors = describe(checkpoint).tensors
    types = plan_types(checkpoint, tensors)
    layers = [n for n, t in tensors.items() if len(t.shape) == 2 and n != "embed"]
    bits = {name: tensors[name].values * bits_per_value(types[name]) for name in tensors}
    return {
        "bytes": int(sum(bits.values()) / 8),
        "bits_per_weight": sum(bits.values()) / sum(t.values for t in tensors.values()),
        "bits_per_layer_weight": sum(bits[n] for n in layers) / sum(tensors[n].values for n in layers),
    }


def judge(networks: dict[str, Network], checkpoint: Checkpoint, text: Path) -> dict[str, dict[str, float]]:
    """For each level: perplexity, mean KL from the reference, and how often both find the same token likeliest."""
    tokenizer = Tokenizer.from_checkpoint(checkpoint)
    ids = np.asarray(tokenizer.encode(text.read_text("utf-8").removesuffix("\n")), np.int32)
    sums = {name: np.zeros(3) for name in networks}
    scored = 0
    for chunk in range(min(CHUNKS, len(ids) // CONTEXT)):
        part = ids[chunk * CONTEXT : (chunk + 1) * CONTEXT].copy()
        part[0] = tokenizer.bos_id
        hidden = {name: in_chunks(net, part, 256)[CONTEXT // 2 : -1] for name, net in networks.items()}
        following = part[CONTEXT // 2 + 1 :]
        for at in range(0, len(following), SLICE):
            add(sums, networks, {n: h[at : at + SLICE] for n, h in hidden.items()}, following[at : at + SLICE])
        scored += len(following)
        print(f"{text.stem}: chunk {chunk + 1}", file=sys.stderr, flush=True)
    keys = ("perplexity", "mean_kl", "same_top", "tokens")
    return {
        name: dict(zip(keys, (math.exp(-nats / scored), kl / scored, top / scored, scored), strict=True))
        for name, (nats, kl, top) in sums.items()
    }


def add(sums: dict[str, np.ndarray], networks: dict[str, Network], hidden: dict[str, np.ndarray],
        following: np.ndarray) -> None:  # fmt: skip
    """Adds log-probabilities of the tokens that follow, KL and equal likeliest tokens of some rows."""
    expected = log_probabilities(networks[REFERENCE].logits(hidden[REFERENCE]))
    for name, net in networks.items():
        found = expected if name == REFERENCE else log_probabilities(net.logits(hidden[name]))
        kl = np.einsum("tv,tv->", np.exp(expected), expected - found, dtype=np.float64)
        top = (expected.argmax(axis=1) == found.argmax(axis=1)).sum()
        sums[name] += (found[np.arange(len(following)), following].sum(dtype=np.float64), kl, top)


def race(networks: dict[str, Network], text: list[int]) -> dict[str, dict[str, float]]:
    """Tokens a second of each level, in turns. text: token ids, what is read and generated."""
    ops.set_threads(1)
    work = Workload(prompt=256, generate=48, depth=0, batch=1, repeat=1)
    rates: dict[str, dict[str, list[float]]] = {name: {} for name in networks}
    for _ in range(TURNS):
        for name, net in networks.items():
            for kind, values in measure(net, work, text, time.process_time).items():
                rates[name].setdefault(f"{kind}_tokens_per_s", []).extend(values)
    return {name: {kind: statistics.median(values) for kind, values in found.items()} for name, found in rates.items()}


def machine() -> dict[str, object]:
    cpu = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())  # fmt: skip
    return {"cpu": cpu, "target": ops.active_target()}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
