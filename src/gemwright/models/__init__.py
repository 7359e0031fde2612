"""The architectures we run: a dict from the name a checkpoint gives itself to how it is loaded."""

from __future__ import annotations

from typing import Any

from gemwright.errors import UnsupportedModel
from gemwright.models import (
    embedding_gemma,
    embedding_gemma2,
    gemma1,
    gemma2,
    gemma3,
    gemma3n,
    gemma4,
    vaultgemma,
)
from gemwright.models.architecture import Architecture, Description
from gemwright.models.decoder import Decoder
from gemwright.models.encoder import Encoder
from gemwright.weights import Checkpoint, require_architecture

__all__ = ["ARCHITECTURES", "Architecture", "Description", "Encoder", "Network", "architecture_of", "describe"]

Network = Decoder

ARCHITECTURES: dict[str, Architecture[Any]] = {
    "gemma": gemma1.ARCHITECTURE,
    "gemma2": gemma2.ARCHITECTURE,
    "vaultgemma": vaultgemma.ARCHITECTURE,
    "gemma3": gemma3.ARCHITECTURE,
    "gemma3_text": gemma3.ARCHITECTURE,
    "gemma3n": gemma3n.ARCHITECTURE,
    "gemma3n_text": gemma3n.ARCHITECTURE,
    "gemma-embedding": embedding_gemma.ARCHITECTURE,
    "embedding_gemma2": embedding_gemma2.ARCHITECTURE,
    "embedding_gemma2_text": embedding_gemma2.ARCHITECTURE,
    "gemma4": gemma4.ARCHITECTURE,
    "gemma4_text": gemma4.ARCHITECTURE,
    "gemma4_unified": gemma4.ARCHITECTURE,
    "gemma4_unified_text": gemma4.ARCHITECTURE,
}
"""`ARCHITECTURES[name].build(checkpoint, precision, store)` is the network of a checkpoint of that architecture."""


def architecture_of(checkpoint: Checkpoint) -> Architecture[Any]:
    """How the checkpoint is loaded. Raises UnsupportedModel for an architecture that is not ours.

    In safetensors EmbeddingGemma calls itself gemma3_text; what tells it apart is that a token sees what follows it.
    Old GGUF files of it call themselves gemma3, and are told apart from models that continue texts by their pooling.
    """
    name = require_architecture(checkpoint, ARCHITECTURES)
    if name == "gemma3_text" and checkpoint.config.get("use_bidirectional_attention") is True:
        return embedding_gemma.ARCHITECTURE
    if name == "gemma3" and checkpoint.config.get("gemma3.pooling_type", 0) != 0:
        raise UnsupportedModel(
            f"{checkpoint.path} is an embedding model that calls itself gemma3, in a form nobody makes any more.",
            hint="Take a GGUF file of architecture gemma-embedding, or the safetensors checkpoint.",
        )
    return ARCHITECTURES[name]


def describe(checkpoint: Checkpoint) -> Description:
    """Raises UnsupportedModel for an architecture that is not ours, CheckpointMismatch if the tensors do not fit."""
    return architecture_of(checkpoint).describe(checkpoint)
