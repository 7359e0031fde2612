"""From a name or a path to a Model."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from gemwright import ops
from gemwright.embedded import default_model
from gemwright.embedding import EmbeddingModel
from gemwright.engine.assistant import Assistant
from gemwright.engine.lookup import MOST_GUESSES
from gemwright.errors import UsageError
from gemwright.model import Facts, Model
from gemwright.models import Encoder, architecture_of
from gemwright.models.gemma4_drafter import load_drafter
from gemwright.models.weights import Precision
from gemwright.settings import Settings, check_threads, load_settings
from gemwright.store import Store
from gemwright.text.chat import template_for
from gemwright.text.suppressed import suppressed_tokens
from gemwright.text.tasks import task_prompts
from gemwright.text.tokenizer import Tokenizer
from gemwright.weights import LEVELS, Checkpoint, check_level, open_checkpoint

DEFAULT_MODEL = "gemma-3-270m"
"""The model that comes with gemwright, and so far the only one that can be had by name."""


CacheFormat = Literal["f32", "f16", "i8"]

_FICTION = (
    (
        r"gemma-?3-8b(-.*)?",
        "There is no Gemma 3 of 8B",
        "gemma-3-4b-it, gemma-3-12b-it, gemma-3n-E4B-it, gemma-4-E4B-it",
    ),
    (
        r"gemma-?2\.5(-.*)?",
        "There is no Gemma 2.5",
        "gemma-2-2b-it, gemma-2-9b-it, gemma-2-27b-it, gemma-3-270m to 27b",
    ),
    (
        r"gemma-?vl(-.*)?",
        "There is no Gemma-VL",
        "paligemma2-3b-mix-448, gemma-3-4b-it, gemma-3n-E4B-it, gemma-4-E4B-it",
    ),
    (r"gemma-?1\.5(-.*)?", "There is no Gemma 1.5", "gemma-1.1-2b-it, gemma-1.1-7b-it, medgemma-1.5-4b-it"),
)
"""Names that circulate for models Google never made, and the nearest real ones."""


def load(
    name_or_path: str | os.PathLike[str] | None = None,
    *,
    level: str = "stored",
    precision: Precision | None = None,
    threads: int | None = None,
    context_tokens: int | None = None,
    prefix_cache: bool = True,
    cache_format: CacheFormat | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    announce: Callable[[str], None] | None = None,
) -> Model:
    """The model at a path (a .gguf or .safetensors file, or a directory with config.json), or the embedded default.

    A checkpoint that makes vectors of texts gives an `EmbeddingModel`.

    name_or_path: None and "gemma-3-270m" mean the default; a directory of that name is "./gemma-3-270m".
    level: in how many bits the weights are held: "stored" as the file has them, "maximum_efficiency", "balanced" or
    "performance"; see LEVELS. Checkpoints of float weights are converted while they are read.
    precision: "default" computes with 8-bit activations, "exact" as float math would, slower. None: the level's own.
    threads: of the whole process from now on; all CPUs it may use unless GEMWRIGHT_THREADS says otherwise.
    context_tokens: room that running requests share; 8192, or less for a model with less, unless asked for. The longest
    text of an embedding model; all it can, unless asked for.
    prefix_cache: whether a request takes over what others have computed for the same beginning of a prompt.
    cache_format: how keys and values are kept: "f32", "f16" or "i8" (docs/decisions/cache-format.md). None: f16, or f32
    at precision "exact".
    cache_dir: where the default model is put together and packed models are kept.
    announce: is told what takes time, and the licence notice once; without it, standard error is.

    Raises UsageError (an option or name that cannot be), FileError and its kin (a file that cannot be used),
    CapacityError (no memory), NotFinite (a weight to be converted is no number).
    """
    precision = precision or LEVELS[check_level(level)].precision
    check_precision(precision)
    check_cache_format(cache_format)
    settings = load_settings()
    if threads is not None:
        settings = replace(settings, threads=check_threads(threads, "threads"))
    if cache_dir is not None:
        settings = replace(settings, cache_dir=Path(cache_dir))
    announce = announce or _to_stderr
    checkpoint = replace(open_named(name_or_path, settings, announce), level=check_level(level))
    return _build(checkpoint, precision, settings, announce, context_tokens, prefix_cache, cache_format)


def load_optimized_gemma(model_name: str | os.PathLike[str], optimization_level: str = "balanced") -> Model:
    """`load` at an optimisation level: "maximum_efficiency", "balanced" or "performance"; see LEVELS.

    The model carries its tokenizer. Raises what `load` raises.
    """
    return load(model_name, level=optimization_level)


def load_assistant(
    path: str | os.PathLike[str],
    *,
    tokens: int = 8,
    precision: Precision = "default",
    cache_dir: str | os.PathLike[str] | None = None,
    announce: Callable[[str], None] | None = None,
) -> Assistant:
    """The drafter at a path, a checkpoint "…-assistant" of Gemma 4, to guess ahead for the model it belongs to.

    Use it as `speculation=` of that model's answers. tokens: the most guesses of one step. The rest is as for `load`.
    Raises what `load` raises.
    """
    check_precision(precision)
    if isinstance(tokens, bool) or not isinstance(tokens, int) or not 1 <= tokens <= MOST_GUESSES:
        raise UsageError(f"tokens is {tokens!r}: it must be a whole number from 1 to {MOST_GUESSES}.")
    settings = load_settings()
    settings = settings if cache_dir is None else replace(settings, cache_dir=Path(cache_dir))
    announce = announce or _to_stderr
    store = Store(settings.cache_dir / "packed", settings.packed_bytes, announce)
    return Assistant(load_drafter(open_named(path, settings, announce), precision, store), tokens)


def check_precision(precision: str) -> None:
    """Raises UsageError unless there is such a precision."""
    if precision not in ("default", "exact"):
        raise UsageError(f"There is no precision {precision!r}.", hint="Precisions: default, exact.")


def check_cache_format(name: str | None) -> None:
    """Raises UsageError unless None or the name of a cache format."""
    if name not in (None, "f32", "f16", "i8"):
        raise UsageError(f"There is no cache format {name!r}.", hint="Formats: f32, f16, i8.")


def open_named(
    name_or_path: str | os.PathLike[str] | None, settings: Settings, announce: Callable[[str], None]
) -> Checkpoint:
    """The checkpoint at a path or of a name, as `load` takes them; errors as `load`."""
    text = DEFAULT_MODEL if name_or_path is None else os.fspath(name_or_path)
    name = text.removeprefix("google/")
    if name == DEFAULT_MODEL:
        return open_checkpoint(default_model(settings.cache_dir, announce))
    path = Path(text).expanduser()
    if (text and path.exists()) or _looks_like_a_path(text):
        return open_checkpoint(path)
    raise _unknown(text, name)


def _looks_like_a_path(text: str) -> bool:
    return text.endswith((".gguf", ".safetensors")) or (
        not text.startswith("google/") and (os.sep in text or text.startswith("~"))
    )


def _unknown(text: str, name: str) -> UsageError:
    for pattern, fact, nearest in _FICTION:
        if re.fullmatch(pattern, name, re.IGNORECASE):
            return UsageError(f"{fact} ({text!r}).", hint=f"Nearest real models: {nearest}.")
    return UsageError(
        f"There is no file {text!r}, and no model of that name here.",
        hint=f"By name there is {DEFAULT_MODEL}; of others give the .gguf file or the directory with config.json.",
    )


def _build(
    checkpoint: Checkpoint,
    precision: Precision,
    settings: Settings,
    announce: Callable[[str], None],
    context_tokens: int | None,
    prefix_cache: bool = True,
    cache_format: CacheFormat | None = None,
) -> Model:
    architecture = architecture_of(checkpoint)
    ops.configure(settings)
    store = Store(settings.cache_dir / "packed", settings.packed_bytes, announce)
    network = architecture.build(checkpoint, precision, store)
    if cache_format is not None:
        network.kv_format = ops.KVFormat[cache_format.upper()]
    tokenizer = Tokenizer.from_checkpoint(checkpoint)
    if isinstance(network, Encoder):
        prompts = task_prompts(checkpoint)
        return EmbeddingModel(network, tokenizer, prompts, _facts(checkpoint, precision), context_tokens=context_tokens)
    template = template_for(checkpoint, checkpoint.architecture, tokenizer)
    return Model(
        network,
        tokenizer,
        template,
        _facts(checkpoint, precision),
        context_tokens=context_tokens,
        prefix_cache=prefix_cache,
        suppressed_ids=suppressed_tokens(checkpoint, tokenizer.vocabulary_size),
    )


def _facts(checkpoint: Checkpoint, precision: Precision) -> Facts:
    name = checkpoint.config.get("general.name")
    tensors = checkpoint.tensors.values()
    return Facts(
        name=name if isinstance(name, str) and name else checkpoint.path.stem,
        architecture=checkpoint.architecture,
        parameters=sum(math.prod(tensor.shape) for tensor in tensors),
        bytes=sum(tensor.data.nbytes for tensor in tensors),
        precision=precision,
        level=checkpoint.level,
    )


def _to_stderr(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
