"""gemwright: Google's Gemma models on your own machine.

    import gemwright

    model = gemwright.load()
    print(model.generate("The tallest mountain on Earth is", max_tokens=20).text)

The names below are all there is to import from here. Each is loaded when it is first used, so `import gemwright`
itself costs nothing.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # as typing's, whose import would cost more than all the rest
if TYPE_CHECKING:
    from gemwright.embedding import EmbeddingModel, Embeddings
    from gemwright.engine.assistant import Assistant
    from gemwright.engine.draft_model import DraftModel
    from gemwright.engine.lookup import Lookup
    from gemwright.errors import (
        CapacityError,
        CheckpointMismatch,
        ContextOverflow,
        FileError,
        GemwrightError,
        ModelFormatError,
        NotFinite,
        TargetError,
        UnsupportedModel,
        UsageError,
    )
    from gemwright.inference import OptimizedGemmaInference
    from gemwright.loading import load, load_assistant, load_optimized_gemma
    from gemwright.messages import BadCall, Completion, Message, Sampling, Tool, ToolCall
    from gemwright.model import Model, Stream
    from gemwright.text.shield import Policy

__version__ = "0.1.0"

__all__ = [
    "Assistant",
    "BadCall",
    "CapacityError",
    "CheckpointMismatch",
    "Completion",
    "ContextOverflow",
    "DraftModel",
    "EmbeddingModel",
    "Embeddings",
    "FileError",
    "GemwrightError",
    "Lookup",
    "Message",
    "Model",
    "ModelFormatError",
    "NotFinite",
    "OptimizedGemmaInference",
    "Policy",
    "Sampling",
    "Stream",
    "TargetError",
    "Tool",
    "ToolCall",
    "UnsupportedModel",
    "UsageError",
    "__version__",
    "load",
    "load_assistant",
    "load_optimized_gemma",
]

_HOMES = {
    "gemwright.embedding": ("EmbeddingModel", "Embeddings"),
    "gemwright.engine.assistant": ("Assistant",),
    "gemwright.engine.draft_model": ("DraftModel",),
    "gemwright.engine.lookup": ("Lookup",),
    "gemwright.errors": (
        "CapacityError",
        "CheckpointMismatch",
        "ContextOverflow",
        "FileError",
        "GemwrightError",
        "ModelFormatError",
        "NotFinite",
        "TargetError",
        "UnsupportedModel",
        "UsageError",
    ),
    "gemwright.inference": ("OptimizedGemmaInference",),
    "gemwright.loading": ("load", "load_assistant", "load_optimized_gemma"),
    "gemwright.messages": ("BadCall", "Completion", "Message", "Sampling", "Tool", "ToolCall"),
    "gemwright.model": ("Model", "Stream"),
    "gemwright.text.shield": ("Policy",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'gemwright' has no attribute {name!r}")
    value: object = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
