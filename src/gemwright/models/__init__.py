"""The architectures we run: a dict from the name a checkpoint gives itself to how it is loaded."""

from __future__ import annotations

from collections.abc import Callable

from gemwright.models import gemma3
from gemwright.models.gemma3 import Gemma3
from gemwright.models.weights import Loader
from gemwright.weights import Checkpoint

Network = Gemma3


def _gemma3(checkpoint: Checkpoint, precise: bool) -> Network:
    read = gemma3.Config.from_gguf if checkpoint.kind == "gguf" else gemma3.Config.from_hf
    config = read(checkpoint.config)
    return Gemma3(config, Loader(checkpoint, gemma3.weights(config), precise=precise, ignore=gemma3.VISION))


ARCHITECTURES: dict[str, Callable[[Checkpoint, bool], Network]] = {
    "gemma3": _gemma3,
    "gemma3_text": _gemma3,
}
"""`ARCHITECTURES[name](checkpoint, precise)` is the network of a checkpoint of that architecture."""
