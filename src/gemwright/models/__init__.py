"""The architectures we run: a dict from the name a checkpoint gives itself to how it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from gemwright.models import gemma3
from gemwright.models.gemma3 import Gemma3
from gemwright.models.gemma3_gguf import gguf_metadata
from gemwright.models.weights import Loader, Precision
from gemwright.store import Store
from gemwright.weights import Checkpoint, Tensor, Weight, match, require_architecture

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


@dataclass(frozen=True, eq=False)
class Description:
    """A checkpoint seen through its architecture, without computing anything.

    rows: the table of its weights. tensors: by `Weight.name`. architecture: what GGUF files call it.
    metadata: gives its sizes and constants as GGUF keys, see `gemma3_gguf`.
    """

    checkpoint: Checkpoint
    architecture: str
    rows: tuple[Weight, ...]
    tensors: dict[str, Tensor]
    metadata: Callable[[], dict[str, Any]]


def describe(checkpoint: Checkpoint) -> Description:
    """Raises UnsupportedModel for an architecture that is not ours, CheckpointMismatch if the tensors do not fit."""
    require_architecture(checkpoint, ARCHITECTURES)
    read = gemma3.Config.from_gguf if checkpoint.kind == "gguf" else gemma3.Config.from_hf
    config = read(checkpoint.config)
    rows = gemma3.weights(config)
    tensors = match(rows, checkpoint, ignore=gemma3.VISION)
    return Description(checkpoint, "gemma3", rows, tensors, lambda: gguf_metadata(config))
