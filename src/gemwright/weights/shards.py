"""A safetensors model split over several files, described by model.safetensors.index.json."""

from __future__ import annotations

import re
from collections.abc import Set
from pathlib import Path

from gemwright.errors import ModelFormatError
from gemwright.weights.jsonfile import read_json_object
from gemwright.weights.mapped import map_file
from gemwright.weights.quoted import quoted
from gemwright.weights.safetensors import MAX_TENSORS, read_safetensors
from gemwright.weights.tensor import Tensor

INDEX_NAME = "model.safetensors.index.json"
SHARD_PATTERN = re.compile(r"-\d{5}-of-\d{5}\.safetensors$")
MAX_INDEX_BYTES = 8 << 20
MAX_SHARDS = 512

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,200}\.safetensors")


def read_shards(directory: Path) -> dict[str, Tensor]:
    """The tensors of all shards that the index in `directory` names.

    Each shard must hold exactly the tensors the index places in it. Shards lie beside the index: a name that could
    lead elsewhere is refused. (A shard may be a symbolic link; download caches make them so.)
    Raises FileError, ModelFormatError or UnsupportedModel.
    """
    index = directory / INDEX_NAME
    tensors: dict[str, Tensor] = {}
    for shard, names in _placement(index).items():
        path = directory / shard
        found = read_safetensors(path, map_file(path))
        _check_shard(index, path, names, found.keys())
        tensors.update(found)
    return tensors


def _placement(index: Path) -> dict[str, set[str]]:
    """Which tensors each shard should hold: {file name: tensor names}."""
    weight_map = read_json_object(index, MAX_INDEX_BYTES).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ModelFormatError(f"{index} has no weight_map.")
    if len(weight_map) > MAX_TENSORS:
        raise ModelFormatError(f"{index} places {len(weight_map):,} tensors; at most {MAX_TENSORS:,} are allowed.")
    placement: dict[str, set[str]] = {}
    for name, shard in weight_map.items():
        if not isinstance(shard, str) or not _PLAIN_NAME.fullmatch(shard):
            raise ModelFormatError(
                f"{index} places tensor {quoted(name)} in {quoted(shard)}, "
                "which is not the plain name of a .safetensors file."
            )
        placement.setdefault(shard, set()).add(name)
    if len(placement) > MAX_SHARDS:
        raise ModelFormatError(f"{index} names {len(placement):,} files; at most {MAX_SHARDS} are allowed.")
    return placement


def _check_shard(index: Path, path: Path, placed: set[str], found: Set[str]) -> None:
    if missing := placed - found:
        raise ModelFormatError(f"{path} lacks tensor {quoted(min(missing))}, which {index.name} places there.")
    if extra := found - placed:
        raise ModelFormatError(f"{path} holds tensor {quoted(min(extra))}, which {index.name} does not place there.")
