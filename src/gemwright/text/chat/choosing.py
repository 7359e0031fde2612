"""Which template a checkpoint gets: by whether it was taught to chat, and by what its vocabulary has words for."""

from __future__ import annotations

from collections.abc import Mapping

from gemwright.text.chat.functiongemma import FUNCTIONGEMMA
from gemwright.text.chat.gemma4 import GEMMA4, GEMMA4E
from gemwright.text.chat.template import ChatTemplate
from gemwright.text.chat.turns import GEMMA, GEMMA3, GEMMA3N, TRANSCRIPT
from gemwright.text.pieces import Checkpoint
from gemwright.text.tokenizer import Tokenizer
from gemwright.text.tuning import instruction_tuning

_OLD = ("gemma", "gemma2", "vaultgemma")


def template_for(checkpoint: Checkpoint, architecture: str, tokenizer: Tokenizer) -> ChatTemplate:
    """The form in which a model is given conversations. architecture: as in `gemwright.models.ARCHITECTURES`.

    The vocabulary counts before the architecture, since it is what the marks are made of: FunctionGemma is a Gemma 3
    with other control tokens. Gemma 4 in the sizes E2B and E4B is known by its embeddings per layer.
    """
    if not instruction_tuning(checkpoint).chat:
        return TRANSCRIPT
    if tokenizer.control_id("<|turn>") is not None:
        return GEMMA4E if _has_layer_embeddings(checkpoint, architecture) else GEMMA4
    if tokenizer.control_id("<start_function_call>") is not None:
        return FUNCTIONGEMMA
    if architecture.startswith("gemma3n"):
        return GEMMA3N
    return GEMMA if architecture in _OLD else GEMMA3


def _has_layer_embeddings(checkpoint: Checkpoint, architecture: str) -> bool:
    """config.json leaves out what is the default, and that is 256 but in the unified models, which have none."""
    config = checkpoint.config
    if checkpoint.kind == "gguf":
        return bool(config.get("gemma4.embedding_length_per_layer_input"))
    text = config.get("text_config")
    inner = text if isinstance(text, Mapping) else config
    return bool(inner.get("hidden_size_per_layer_input", 0 if architecture.startswith("gemma4_unified") else 256))
