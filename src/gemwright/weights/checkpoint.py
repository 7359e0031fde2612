"""A model on disk, whatever its format: `open_checkpoint` is the only door."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from gemwright.errors import FileError, ModelFormatError, UnsupportedModel
from gemwright.weights.foreign import foreign_kind
from gemwright.weights.gguf import read_gguf
from gemwright.weights.identity import Stamp, stamp
from gemwright.weights.jsonfile import read_json_object
from gemwright.weights.mapped import map_file, names_in
from gemwright.weights.pipeline import read_pipeline
from gemwright.weights.quoted import quoted
from gemwright.weights.safetensors import is_safetensors, read_safetensors
from gemwright.weights.shards import INDEX_NAME, SHARD_PATTERN, read_shards
from gemwright.weights.tensor import Tensor
from gemwright.weights.unsupported import REASONS

MAX_CONFIG_BYTES = 1 << 20
CONFIG_NAME = "config.json"
MODEL_NAME = "model.safetensors"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """An opened model: tensors are views of mapped files, read when they are used.

    path: the file or directory that was opened.
    architecture: "gemma3" in GGUF; in safetensors config.json's `model_type`, such as "gemma3_text".
    config: GGUF metadata (see `cursor.Cursor.value` for its types), or config.json; if the model is a pipeline of
    sentence-transformers, its other files too, each under its name (`pipeline`).
    stamps: of the files that hold its tensors.
    level: into how many bits its matrices go when they are used, a key of `levels.LEVELS`.
    """

    path: Path
    kind: Literal["gguf", "safetensors"]
    architecture: str
    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    stamps: tuple[Stamp, ...]
    level: str = "stored"

    @property
    def directory(self) -> Path:
        """Where files that belong to it lie: tokenizer.json, generation_config.json."""
        return self.path if self.path.is_dir() else self.path.parent


def open_checkpoint(path: str | Path) -> Checkpoint:
    """The model at `path`: a .gguf file, a .safetensors file beside its config.json, or a directory with
    config.json and model.safetensors or model.safetensors.index.json. Files are told apart by content, not by name.

    Raises FileError (missing, unreadable), ModelFormatError (truncated, corrupt, foreign) or UnsupportedModel.
    """
    path = Path(path)
    if (names := names_in(path)) is not None:
        return _open_directory(path, names)
    stamps = (stamp(path),)
    data = map_file(path)
    head = data[:4096].tobytes()
    if head[:4] == b"GGUF":
        return _gguf(path, *read_gguf(path, data), stamps)
    if is_safetensors(head):
        if SHARD_PATTERN.search(path.name):
            raise ModelFormatError(f"{path} is one shard of several.", hint=f"Open its directory: {path.parent}")
        return _safetensors(path, path.parent, read_safetensors(path, data), stamps)
    raise ModelFormatError(
        f"{path} is {foreign_kind(head) or 'neither GGUF nor safetensors'}.",
        hint="A .gguf file, a .safetensors file or a directory with config.json is needed.",
    )


def require_architecture(checkpoint: Checkpoint, supported: Collection[str]) -> str:
    """The checkpoint's architecture if it is among `supported`; otherwise UnsupportedModel naming both.

    Models of the family that are known but not run are told apart from unknown ones, with the reason.
    """
    if checkpoint.architecture not in supported:
        reason = REASONS.get(checkpoint.architecture)
        raise UnsupportedModel(
            f"{checkpoint.path} is a model of architecture {quoted(checkpoint.architecture)}"
            + (f", which is not supported. {reason}" if reason else "."),
            hint=f"These can be run: {', '.join(sorted(supported))}.",
        )
    return checkpoint.architecture


def _gguf(path: Path, metadata: dict[str, Any], tensors: dict[str, Tensor], stamps: tuple[Stamp, ...]) -> Checkpoint:
    architecture = metadata.get("general.architecture")
    if not isinstance(architecture, str):
        raise ModelFormatError(f"{path} does not say its architecture (general.architecture).")
    return Checkpoint(path, "gguf", architecture, MappingProxyType(metadata), MappingProxyType(tensors), stamps)


def _safetensors(path: Path, directory: Path, tensors: dict[str, Tensor], stamps: tuple[Stamp, ...]) -> Checkpoint:
    config_path = directory / CONFIG_NAME
    config = read_json_object(config_path, MAX_CONFIG_BYTES)
    architecture = config.get("model_type")
    if not isinstance(architecture, str):
        raise ModelFormatError(f"{config_path} does not say the architecture (model_type).")
    pipeline = read_pipeline(directory)
    config, tensors = {**config, **pipeline.files}, {**tensors, **pipeline.tensors}
    stamps += pipeline.stamps
    return Checkpoint(path, "safetensors", architecture, MappingProxyType(config), MappingProxyType(tensors), stamps)


def _open_directory(path: Path, names: Collection[str]) -> Checkpoint:
    stamps: tuple[Stamp, ...]
    if CONFIG_NAME not in names:
        raise FileError(f"{path} has no {CONFIG_NAME}.", hint=_instead(path, names))
    if MODEL_NAME in names:
        stamps = (stamp(path / MODEL_NAME),)
        return _safetensors(path, path, read_safetensors(path / MODEL_NAME, map_file(path / MODEL_NAME)), stamps)
    if INDEX_NAME in names:
        stamps = tuple(stamp(path / name) for name in names if SHARD_PATTERN.search(name))
        return _safetensors(path, path, read_shards(path), stamps)
    raise FileError(f"{path} has neither {MODEL_NAME} nor {INDEX_NAME}.", hint=_instead(path, names))


def _instead(directory: Path, names: Collection[str]) -> str:
    """What the user may have meant by `directory`."""
    if gguf := [name for name in names if name.endswith(".gguf")]:
        return f"Name the file in it: {directory / gguf[0]}"
    if any(name.endswith((".bin", ".pt", ".pth", ".ckpt")) for name in names):
        return "PyTorch's .bin, .pt and .ckpt files can run code when opened and are never read; get the safetensors."
    return "Name a .gguf file, a .safetensors file or a directory with config.json and model.safetensors."
