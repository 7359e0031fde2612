"""JSON from files nobody vouches for: bounded in size, nesting and number of values; a repeated key is an error."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

from gemwright.errors import ModelFormatError
from gemwright.weights.mapped import read_small_file
from gemwright.weights.quoted import quoted

MAX_NESTING = 32
MAX_VALUES = 1 << 19
"""Room for 50,000 tensors of a header; a parsed value takes about 100 bytes of memory."""

_MAX_DIGITS = 20


def read_json_object(path: Path, limit_bytes: int) -> dict[str, Any]:
    """The JSON object in the file `path`. Raises FileError (missing, unreadable) or ModelFormatError."""
    return parse_json_object(read_small_file(path, limit_bytes), str(path))


def read_json(path: Path, limit_bytes: int) -> Any:
    """The JSON value in the file `path`, of any kind. Raises as `read_json_object`."""
    return parse_json(read_small_file(path, limit_bytes), str(path))


def parse_json_object(raw: bytes, source: str) -> dict[str, Any]:
    """The JSON object `raw`, UTF-8; `source` names it in errors. Raises ModelFormatError."""
    value = parse_json(raw, source)
    if not isinstance(value, dict):
        raise ModelFormatError(f"{source} is not a JSON object.")
    return value


def parse_json(raw: bytes, source: str) -> Any:
    """The JSON value `raw`, of any kind, as `parse_json_object`."""
    if raw.count(b",") + raw.count(b"[") + raw.count(b"{") > MAX_VALUES:  # an upper bound, also where strings hold them
        raise ModelFormatError(f"{source} holds more than {MAX_VALUES:,} values.")
    try:
        value = json.loads(
            raw.decode(), object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_refuse
        )
    except (ValueError, RecursionError) as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise ModelFormatError(f"{source} is not sound JSON: {error}.") from error
    if not _is_shallow(value):
        raise ModelFormatError(f"{source} is nested more than {MAX_NESTING} deep.")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        repeated, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {quoted(repeated)} occurs twice")
    return result


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"an integer of {len(digits):,} digits")
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number beyond what a float can hold")
    return number


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _is_shallow(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_NESTING):
        level = [
            child
            for parent in level
            if isinstance(parent, (dict, list))
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
        if not level:
            return True
    return False
