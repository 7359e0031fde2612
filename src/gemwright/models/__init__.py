"""The architectures we run: a dict from the name a checkpoint gives itself to how it is loaded."""

from __future__ import annotations

from typing import Any

from gemwright.models import gemma3, gemma3n
from gemwright.models.architecture import Architecture, Description
from gemwright.models.decoder import Decoder
from gemwright.weights import Checkpoint, require_architecture

__all__ = ["ARCHITECTURES", "Architecture", "Description", "Network", "describe"]

Network = Decoder

ARCHITECTURES: dict[str, Architecture[Any]] = {
    "gemma3": gemma3.ARCHITECTURE,
    "gemma3_text": gemma3.ARCHITECTURE,
    "gemma3n": gemma3n.ARCHITECTURE,
    "gemma3n_text": gemma3n.ARCHITECTURE,
}
"""`ARCHITECTURES[name].build(checkpoint, precision, store)` is the network of a checkpoint of that architecture."""


def describe(checkpoint: Checkpoint) -> Description:
    """Raises UnsupportedModel for an architecture that is not ours, CheckpointMismatch if the tensors do not fit."""
    return ARCHITECTURES[require_architecture(checkpoint, ARCHITECTURES)].describe(checkpoint)
