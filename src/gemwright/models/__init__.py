"""The architectures we run: a dict from the name a checkpoint gives itself to how it is loaded."""

from __future__ import annotations

from typing import Protocol

from gemwright.models import gemma3
from gemwright.models.gemma3 import Gemma3
from gemwright.models.weights import Loader, Precision
from gemwright.store import Store
from gemwright.weights import Checkpoint

Network = Gemma3


def _gemma3(checkpoint: Checkpoint, precision: Precision, store: Store | None = None) -> Network:
    read = gemma3.Config.from_gguf if checkpoint.kind == "gguf" else gemma3.Config.from_hf
    config = read(checkpoint.config)
    rows = gemma3.weights(config)
    load = Loader(
        checkpoint, rows, precision=precision, wide=gemma3.WIDE, heads=gemma3.HEADS, ignore=gemma3.VISION, store=store
    )
    return Gemma3(config, load)


class Build(Protocol):
    """The network of a checkpoint; packed through `store` if there is one."""

    def __call__(self, checkpoint: Checkpoint, precision: Precision, store: Store | None = None) -> Network: ...


ARCHITECTURES: dict[str, Build] = {
    "gemma3": _gemma3,
    "gemma3_text": _gemma3,
}
"""`ARCHITECTURES[name](checkpoint, precision, store)` is the network of a checkpoint of that architecture."""
