"""Writes small safetensors files for tests, sound or with whatever header a test asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

_NAMES = {"<f4": "F32", "<f2": "F16", "<u2": "BF16", "<i8": "I64"}


def safetensors(arrays: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, str] | None = None) -> bytes:
    """A sound file. float32 is written as F32, float16 as F16, uint16 as the bits of BF16, int64 as I64."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata is not None else {}
    body = b""
    for name, array in arrays.items():
        raw = array.tobytes()
        header[name] = {
            "dtype": _NAMES[array.dtype.str],
            "shape": list(array.shape),
            "data_offsets": [len(body), len(body) + len(raw)],
        }
        body += raw
    return with_header(json.dumps(header), body)


def with_header(header: str | bytes, body: bytes = b"") -> bytes:
    """A file with this header text, padded with spaces to a multiple of 8 as the format advises."""
    raw = header.encode() if isinstance(header, str) else header
    raw += b" " * (-len(raw) % 8)
    return len(raw).to_bytes(8, "little") + raw + body


def bf16(values: npt.ArrayLike) -> npt.NDArray[np.uint16]:
    """The upper halves of float32 `values`: BF16 by truncation."""
    array = np.ascontiguousarray(values, "<f4")
    return (array.view("<u4") >> 16).astype("<u2")
