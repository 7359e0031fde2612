"""safetensors: a length (u64), that many bytes of JSON describing the tensors, and the tensors' bytes without gaps.

Source: github.com/huggingface/safetensors README, "Format"; the same refusals (repeated keys, overlaps, holes, bytes
left over), and only the types Gemma comes in. Tensors of 64-bit integers are checked and left out: they are lists of
token ids or the like, never weights, and nothing here reads one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gemwright.errors import ModelFormatError, UnsupportedModel
from gemwright.weights.jsonfile import parse_json_object
from gemwright.weights.layout import Region, check_regions
from gemwright.weights.mapped import TRUNCATED
from gemwright.weights.quoted import quoted
from gemwright.weights.tensor import Tensor
from gemwright.weights.types import TensorType

MAX_HEADER_BYTES = 8 << 20
MAX_TENSORS = 1 << 16
MAX_DIMENSIONS = 8

_TYPES = {"F32": TensorType.F32, "F16": TensorType.F16, "BF16": TensorType.BF16}
_IDS = "I64"
_FIELDS = {"dtype", "shape", "data_offsets"}


def is_safetensors(head: bytes) -> bool:
    """Whether a file beginning with `head` has the form: a header of less than 4 GiB that is a JSON object."""
    return head[4:9] == b"\0\0\0\0{"


def read_safetensors(path: Path, data: npt.NDArray[np.uint8]) -> dict[str, Tensor]:
    """The tensors of the file `path`, mapped as `data`: uint8[size]; all are views of it, not necessarily aligned.

    Raises ModelFormatError (truncated, corrupt) or UnsupportedModel (a type other than F32, F16, BF16).
    """
    header, start = _read_header(path, data)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ModelFormatError(f"{path}: __metadata__ does not map strings to strings.")
    if not header:
        raise ModelFormatError(f"{path} holds no tensors.")
    if len(header) > MAX_TENSORS:
        raise ModelFormatError(f"{path} claims {len(header):,} tensors; at most {MAX_TENSORS:,} are allowed.")
    regions = [_region(path, name, entry) for name, entry in header.items()]
    check_regions(path, regions, len(data) - start)
    used = sum(region.end - region.begin for region in regions)
    if used < len(data) - start:  # without overlaps, the sum falls short exactly if there are holes
        raise ModelFormatError(f"{path}: {len(data) - start - used:,} bytes belong to no tensor.")
    weights = [region for region in regions if header[region.name]["dtype"] != _IDS]
    return {region.name: region.tensor(data, start) for region in weights}


def _read_header(path: Path, data: npt.NDArray[np.uint8]) -> tuple[dict[str, Any], int]:
    if len(data) < 8:
        raise ModelFormatError(f"{path} has {len(data)} bytes, too few for a safetensors file.", hint=TRUNCATED)
    length = int.from_bytes(data[:8].tobytes(), "little")
    if length > MAX_HEADER_BYTES:
        raise ModelFormatError(f"{path} claims a header of {length:,} bytes; at most {MAX_HEADER_BYTES:,} are allowed.")
    if length > len(data) - 8:
        raise ModelFormatError(f"{path} ends inside its header of {length:,} bytes.", hint=TRUNCATED)
    header = data[8 : 8 + length].tobytes()
    if header[:1] != b"{":
        raise ModelFormatError(f"{path}: the header is not a JSON object.")
    return parse_json_object(header, f"The header of {path}"), 8 + length


def _region(path: Path, name: str, entry: Any) -> Region:
    """Checks one header entry: {"dtype": "BF16", "shape": [out, in], "data_offsets": [begin, end]}."""
    if not isinstance(entry, dict) or entry.keys() != _FIELDS:
        raise ModelFormatError(f"{path}: the entry of tensor {quoted(name)} is not of dtype, shape and data_offsets.")
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not _are_sizes(shape) or len(shape) > MAX_DIMENSIONS:
        raise ModelFormatError(f"{path}: tensor {quoted(name)} has no possible shape.")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise ModelFormatError(f"{path}: tensor {quoted(name)} has no possible data_offsets.")
    type_ = _TYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
    if entry["dtype"] == _IDS:  # as long as two floats each
        type_, shape = TensorType.F32, [*shape, 2]
    if type_ is None:
        raise UnsupportedModel(
            f"{path}: tensor {quoted(name)} is stored as {quoted(entry['dtype'])}, which is not supported.",
            hint=f"Supported are {', '.join(_TYPES)}.",
        )
    region = Region.of(path, name, type_, tuple(shape), offsets[0])
    if region.end != offsets[1]:
        raise ModelFormatError(
            f"{path}: tensor {quoted(name)} of shape {region.shape} needs {region.end - region.begin:,} bytes, "
            f"but has {offsets[1] - offsets[0]:,}."
        )
    return region


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(size) is int and size >= 0 for size in value)
