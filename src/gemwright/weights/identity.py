"""What tells one model from another without reading its weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gemwright.weights.mapped import file_status

if TYPE_CHECKING:
    from gemwright.weights.checkpoint import Checkpoint


@dataclass(frozen=True)
class Stamp:
    """Size and time of change of a file, taken before it was opened."""

    bytes: int
    modified_ns: int


def stamp(path: Path) -> Stamp:
    """The stamp of the file at `path`. Raises FileError."""
    status = file_status(path)
    return Stamp(status.st_size, status.st_mtime_ns)


def identity(checkpoint: Checkpoint) -> bytes:
    """SHA-256 over the stamps of the checkpoint's files, its metadata and its table of tensors.

    Files with other weights have another one, unless somebody changed them and put the time stamp back. Long arrays of
    the metadata (the vocabulary) are left out: reading them would take longer than all the rest.
    """
    facts = {
        "files": [[one.bytes, one.modified_ns] for one in checkpoint.stamps],
        "config": _short(checkpoint.config),
        "tensors": [[tensor.name, int(tensor.type), tensor.shape] for tensor in checkpoint.tensors.values()],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).digest()


def _short(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if isinstance(value, (str, int, float, list, dict))}
