"""GGUF versions 2 and 3: one file with metadata, vocabulary and tensors.

Layout: "GGUF", version u32, tensor count u64, key count u64; the keys (name, type, value); the tensor records (name,
number of dimensions u32, dimensions u64 innermost first, type u32, offset u64); padding; the tensors' bytes.
Nothing in the file is believed before it is compared with the file's own size.
Source: github.com/ggml-org/ggml docs/gguf.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gemwright.errors import UnsupportedModel
from gemwright.weights.cursor import Cursor
from gemwright.weights.layout import Region, check_regions
from gemwright.weights.quoted import quoted
from gemwright.weights.tensor import Tensor
from gemwright.weights.types import tensor_type, type_name

MAX_KEYS = 1 << 16
MAX_TENSORS = 1 << 16
MAX_KEY_BYTES = (1 << 16) - 1
MAX_NAME_BYTES = 128
MAX_DIMENSIONS = 4
MAX_ALIGNMENT = 1 << 16
DEFAULT_ALIGNMENT = 32

_SMALLEST_KEY = 8 + 4 + 1
_SMALLEST_TENSOR = 8 + 4 + 8 + 4 + 8


def read_gguf(path: Path, data: npt.NDArray[np.uint8]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Metadata and tensors of the GGUF file `path`, mapped as `data`: uint8[size].

    Large arrays and all tensors are views of `data`. Shapes are row-major, GGUF's own order reversed.
    Raises ModelFormatError (truncated, corrupt) or UnsupportedModel (version, byte order, tensor type, split file).
    """
    cursor = Cursor(path, data, at=4)
    _check_version(path, cursor.u32("the version"))
    tensor_count = _count(cursor, "tensors", MAX_TENSORS, _SMALLEST_TENSOR)
    key_count = _count(cursor, "metadata keys", MAX_KEYS, _SMALLEST_KEY)
    metadata = _read_metadata(cursor, key_count)
    if _is_split(metadata.get("split.count")):
        raise UnsupportedModel(
            f"{path} is one part of a model split into several GGUF files.",
            hint="Merge the parts first (`llama-gguf-split --merge`).",
        )
    alignment = _alignment(cursor, metadata)
    regions = _read_tensor_records(path, cursor, tensor_count, alignment)
    start = -(-cursor.at // alignment) * alignment
    check_regions(path, regions, len(data) - start)
    return metadata, {region.name: region.tensor(data, start) for region in regions}


def _is_split(count: object) -> bool:
    """Whether `split.count` says so; files merged again keep a 0."""
    return count is not None and not (isinstance(count, int) and count in (0, 1))


def _check_version(path: Path, version: int) -> None:
    if version in (2, 3):
        return
    if version == 1:
        raise UnsupportedModel(f"{path} is GGUF version 1, of 2023.", hint="Use a newer conversion of the model.")
    if version & 0xFFFF == 0 and version:
        raise UnsupportedModel(f"{path} is a big-endian GGUF file.", hint="Use the usual, little-endian conversion.")
    raise UnsupportedModel(f"{path} is GGUF version {version}; versions 2 and 3 are read.")


def _count(cursor: Cursor, what: str, limit: int, smallest_bytes: int) -> int:
    count = cursor.u64(f"the number of {what}")
    if count > limit or count * smallest_bytes > cursor.left:
        raise cursor.corrupt(f"it claims {count:,} {what}, more than it can hold")
    return count


def _read_metadata(cursor: Cursor, count: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    for number in range(count):
        key = cursor.text(f"the name of metadata key {number}", MAX_KEY_BYTES)
        if key in metadata:
            raise cursor.corrupt(f"metadata key {quoted(key)} occurs twice")
        metadata[key] = cursor.value(f"metadata key {quoted(key)}")
    return metadata


def _alignment(cursor: Cursor, metadata: dict[str, Any]) -> int:
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if type(alignment) is not int or not 8 <= alignment <= MAX_ALIGNMENT or alignment & (alignment - 1):
        raise cursor.corrupt(
            f"general.alignment is {quoted(alignment)}, not a power of two between 8 and {MAX_ALIGNMENT:,}"
        )
    return alignment


def _read_tensor_records(path: Path, cursor: Cursor, count: int, alignment: int) -> list[Region]:
    regions: list[Region] = []
    seen: set[str] = set()
    for number in range(count):
        name = cursor.text(f"the name of tensor {number}", MAX_NAME_BYTES)
        if name in seen:
            raise cursor.corrupt(f"tensor {quoted(name)} occurs twice")
        seen.add(name)
        shape = _shape(cursor, name)
        kind = cursor.u32(f"the type of tensor {quoted(name)}")
        offset = cursor.u64(f"the offset of tensor {quoted(name)}")
        type_ = tensor_type(kind)
        if type_ is None:
            raise UnsupportedModel(
                f"{path}: tensor {quoted(name)} is stored as {type_name(kind)}, which is not supported."
            )
        if offset % alignment:
            raise cursor.corrupt(f"tensor {quoted(name)} begins at offset {offset:,}, not a multiple of {alignment}")
        regions.append(Region.of(path, name, type_, shape, offset))
    return regions


def _shape(cursor: Cursor, name: str) -> tuple[int, ...]:
    dimensions = cursor.u32(f"the number of dimensions of tensor {quoted(name)}")
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise cursor.corrupt(f"tensor {quoted(name)} has {dimensions:,} dimensions; 1 to {MAX_DIMENSIONS} are possible")
    return tuple(cursor.u64(f"the shape of tensor {quoted(name)}") for _ in range(dimensions))[::-1]
