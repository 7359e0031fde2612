"""Reading and writing tests/data/perplexity.json, the perplexity that float32 math gives a committed text."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

PATH = Path(__file__).parents[1] / "data" / "perplexity.json"


@dataclass(frozen=True)
class Reference:
    """`perplexity` of tests/data/`text`.txt by llama-perplexity's method, in `chunks` of `context` tokens.

    tokens_sha256: of the ids, BOS first, as little-endian int32. made_by: script, model and versions.
    """

    text: str
    context: int
    chunks: int
    scored_tokens: int
    perplexity: float
    tokens_sha256: str
    made_by: dict[str, str]


def read_reference() -> Reference:
    """The committed values."""
    return Reference(**json.loads(PATH.read_text("utf-8")))


def write_reference(reference: Reference) -> None:
    """Replaces the committed values."""
    PATH.write_text(json.dumps(asdict(reference), indent=2) + "\n", "utf-8")
