"""The architectures we run: a dict from the name a checkpoint gives itself to how it is loaded."""

from __future__ import annotations

from collections.abc import Callable

from gemwright.models import gemma3
from gemwright.models.gemma3 import Gemma3
from gemwright.models.weights import Loader, Precision
from gemwright.weights import Checkpoint

Network = Gemma3


def _gemma3(checkpoint: Checkpoint, precision: Precision) -> Network:
    read = gemma3.Config.from_gguf if checkpoint.kind == "gguf" else gemma3.Config.from_hf
    config = read(checkpoint.config)
    rows = gemma3.weights(config)
    return Gemma3(config, Loader(checkpoint, rows, precision=precision, wide=gemma3.WIDE, ignore=gemma3.VISION))


ARCHITECTURES: dict[str, Callable[[Checkpoint, Precision], Network]] = {
    "gemma3": _gemma3,
    "gemma3_text": _gemma3,
}
"""`ARCHITECTURES[name](checkpoint, precision)` is the network of a checkpoint of that architecture."""
