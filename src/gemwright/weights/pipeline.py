"""What sentence-transformers puts around a model: steps that follow it, each with a folder, and the prompts it knows.

    modules.json                          the steps in order: {"path": "2_Dense", "type": "….Dense"}, …
    2_Dense/config.json                   what a step does
    2_Dense/model.safetensors             its weights
    sentence_bert_config.json             how texts are cut into tokens
    config_sentence_transformers.json     prompts by name

Source: sentence-transformers 6.2, `base/model.py`; the type's last part is its name in every version.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gemwright.errors import ModelFormatError
from gemwright.weights.identity import Stamp, stamp
from gemwright.weights.jsonfile import read_json, read_json_object
from gemwright.weights.mapped import map_file
from gemwright.weights.quoted import quoted
from gemwright.weights.safetensors import read_safetensors
from gemwright.weights.tensor import Tensor

MODULES = "modules.json"
TOKENIZING = "sentence_bert_config.json"
PROMPTS = "config_sentence_transformers.json"

MAX_FILE_BYTES = 1 << 20
MAX_STEPS = 16

_FOLDER = re.compile(r"\d{1,2}_[A-Za-z0-9]{1,40}")
"""A plain name: nothing that could lead elsewhere."""


@dataclass(frozen=True, eq=False)
class Pipeline:
    """files: by name what they hold; modules.json as [{"type": "Dense", "path": "2_Dense", "config": {…}}, …].

    tensors: of all steps, as "2_Dense.linear.weight". stamps: of the files that hold them.
    """

    files: Mapping[str, Any] = field(default_factory=dict)
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    stamps: tuple[Stamp, ...] = ()


def read_pipeline(directory: Path) -> Pipeline:
    """The pipeline in `directory`, empty if there is none. Raises FileError or ModelFormatError."""
    if not (directory / MODULES).exists():
        return Pipeline()
    steps = [_step(directory, entry) for entry in _entries(directory / MODULES)]
    files: dict[str, Any] = {MODULES: steps}
    for name in (TOKENIZING, PROMPTS):
        if (directory / name).exists():
            files[name] = read_json_object(directory / name, MAX_FILE_BYTES)
    tensors: dict[str, Tensor] = {}
    stamps: list[Stamp] = []
    for folder in (step["path"] for step in steps if step["path"]):
        weights = directory / folder / "model.safetensors"
        if weights.exists():
            stamps.append(stamp(weights))
            found = read_safetensors(weights, map_file(weights))
            tensors |= {f"{folder}.{name}": tensor for name, tensor in found.items()}
    return Pipeline(files, tensors, tuple(stamps))


def _entries(path: Path) -> list[Any]:
    entries = read_json(path, MAX_FILE_BYTES)
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_STEPS:
        raise ModelFormatError(f"{path} is not a list of 1 to {MAX_STEPS} steps.")
    return entries


def _step(directory: Path, entry: Any) -> dict[str, Any]:
    match entry:
        case {"type": str(kind), "path": str(folder)} if not folder or _FOLDER.fullmatch(folder):
            path = directory / folder / "config.json"
            config = read_json_object(path, MAX_FILE_BYTES) if folder and path.exists() else {}
            return {"type": kind.rpartition(".")[2], "path": folder, "config": config}
        case _:
            raise ModelFormatError(
                f"{directory / MODULES}: the step {quoted(str(entry))} has no type, or its path is not a plain folder."
            )
