"""Minutes of mixed load in one process, to see whether its memory stops growing. `make soak MINUTES=10` runs it.

Several threads share one model, as clients of a service would: short and long prompts, batches, sampled and greedy
answers, chats, and streams that are left in the middle. The resident set is sampled every few seconds. It fails if
the median of the last third lies more than GROWTH_MIB above that of the middle third, or if a request fails.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import gemwright

GROWTH_MIB = 8.0
"""Allowed between the thirds: allocators and page tables settle late, a leak of 1 KiB per token would exceed it."""

CLIENTS = 4
SAMPLE_S = 2.0
WORDS = Path(__file__).with_name("texts") / "copy.txt"


@dataclass
class Load:
    """What the clients have in common. done: how many requests of each kind have ended."""

    model: gemwright.Model
    words: list[str]
    until: float
    done: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def client(self, number: int) -> None:
        """One request after the other until the time is up; the first failure ends all clients."""
        draw = random.Random(number)
        try:
            while time.monotonic() < self.until and not self.failures:
                request = draw.choice(REQUESTS)
                request(self, draw)
                self.done[request.__name__.strip("_")] += 1
        except gemwright.GemwrightError as error:
            self.failures.append(f"client {number}: {error}")

    def text(self, draw: random.Random, words: int) -> str:
        """So many words in random order."""
        return " ".join(draw.choices(self.words, k=words))


def _greedy(load: Load, draw: random.Random) -> None:
    load.model.generate(load.text(draw, draw.randint(1, 60)), max_tokens=draw.randint(1, 48), temperature=0.0)


def _sampled(load: Load, draw: random.Random) -> None:
    options = {"temperature": draw.uniform(0.3, 1.5), "top_k": draw.choice([0, 20, 64]), "seed": draw.getrandbits(32)}
    load.model.generate(load.text(draw, 20), max_tokens=32, stop=("\n\n",), logprobs=draw.random() < 0.5, **options)


def _batch(load: Load, draw: random.Random) -> None:
    prompts = [load.text(draw, draw.randint(1, 80)) for _ in range(draw.randint(2, 6))]
    load.model.generate_batch(prompts, max_tokens=16)


def _chat(load: Load, draw: random.Random) -> None:
    messages = [{"role": "user", "content": load.text(draw, 12)}]
    load.model.chat(messages, max_tokens=24)


def _left(load: Load, draw: random.Random) -> None:
    """A reader who goes away after a few pieces."""
    with load.model.stream(load.text(draw, 30), max_tokens=64) as stream:
        for _, _piece in zip(range(draw.randint(0, 8)), stream, strict=False):
            pass


def _long(load: Load, draw: random.Random) -> None:
    load.model.generate(load.text(draw, draw.randint(400, 1200)), max_tokens=8)


REQUESTS: list[Callable[[Load, random.Random], None]] = [_greedy, _sampled, _batch, _chat, _left, _long]


def main() -> int:
    """0 if memory came to rest and nothing failed."""
    options = _options()
    model = gemwright.load(options.model, threads=options.threads)
    load = Load(model, WORDS.read_text("utf-8").split(), time.monotonic() + 60 * options.minutes)
    clients = [threading.Thread(target=load.client, args=(number,)) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    began = time.monotonic()
    samples: list[tuple[float, float]] = []
    while any(client.is_alive() for client in clients):
        samples.append((time.monotonic() - began, resident_mib()))
        time.sleep(SAMPLE_S)
    verdict = growth([mib for _, mib in samples])
    for kind, count in sorted(load.done.items()):
        print(f"{count:6} {kind}")
    print(
        f"middle third {verdict['middle_mib']:.1f} MiB, last third {verdict['last_mib']:.1f} MiB (median resident set)"
    )
    for path in _save(options, samples, verdict, load):
        print(f"written: {path}")
    for failure in load.failures:
        print(f"failed: {failure}")
    if not verdict["rested"]:
        print(f"memory grew by {verdict['growth_mib']:.1f} MiB; {GROWTH_MIB:.0f} are allowed")
    return 0 if verdict["rested"] and not load.failures else 1


def growth(mib: list[float]) -> dict[str, float | bool]:
    """Medians of the middle and the last third of the samples, and whether memory has come to rest.

    Ends the program if there are fewer than nine samples: too few to tell.
    """
    if len(mib) < 9:
        raise SystemExit(f"{len(mib)} samples are too few to tell; soak for longer.")
    third = len(mib) // 3
    middle, last = statistics.median(mib[third:-third]), statistics.median(mib[-third:])
    return {
        "middle_mib": middle,
        "last_mib": last,
        "growth_mib": last - middle,
        "allowed_mib": GROWTH_MIB,
        "rested": last - middle <= GROWTH_MIB,
    }


def resident_mib() -> float:
    """This process's resident set now, shared file pages included. Linux only."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _save(
    options: argparse.Namespace, samples: list[tuple[float, float]], verdict: dict[str, float | bool], load: Load
) -> list[Path]:
    taken = datetime.now(timezone.utc).isoformat(timespec="seconds")
    found = {
        "taken": taken,
        "minutes": options.minutes,
        "model": load.model.describe(),
        "clients": CLIENTS,
        "requests": dict(load.done),
        "failures": load.failures,
        "verdict": verdict,
        "samples": [{"s": round(s, 1), "rss_mib": round(mib, 2)} for s, mib in samples],
    }
    options.results.mkdir(parents=True, exist_ok=True)
    path = options.results / f"{taken[:10]}-soak.json"
    path.write_text(json.dumps(found, indent=1) + "\n")
    return [path, _plot(samples, path.with_suffix(".png"))]


def _plot(samples: list[tuple[float, float]], path: Path) -> Path:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 3), layout="constrained")
    axes.plot([s / 60 for s, _ in samples], [mib for _, mib in samples])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("minutes of mixed load")
    axes.set_ylabel("resident set, MiB")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return path


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, metavar="M", help="how long")
    parser.add_argument("--model", metavar="FILE", help="a model's file or folder; the embedded one by default")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of the engine")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results", metavar="FOLDER")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
