"""`gemwright inspect`: what a model file holds, without running it.

Everything shown comes from the file and is foreign: control characters are escaped, long values are cut with a mark.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from gemwright.cli import options
from gemwright.cli.parser import Argument, Context
from gemwright.cli.tables import table
from gemwright.cli.terminal import printable, say

if TYPE_CHECKING:
    from gemwright.weights import Checkpoint, Tensor

MAX_VALUE = 72
MAX_ITEMS = 8


def command(
    context: Context,
    file: Annotated[Path, Argument(metavar="FILE", help="A .gguf or .safetensors file, or a folder.")],
    as_json: options.JsonOption = False,
) -> None:
    """Show what a model file holds.

    Its metadata, its tensors, and its size by tensor type.
    """
    from gemwright.weights import open_checkpoint

    checkpoint = open_checkpoint(file)
    say(json.dumps(_as_dict(checkpoint)) if as_json else _report(checkpoint))


def sizes_by_type(tensors: Mapping[str, Tensor]) -> list[tuple[str, int, int, int]]:
    """(type, tensors, parameters, bytes) for each tensor type, largest first."""
    rows = []
    for kind in {tensor.type for tensor in tensors.values()}:
        alike = [tensor for tensor in tensors.values() if tensor.type == kind]
        rows.append((kind.name, len(alike), sum(t.values for t in alike), sum(t.data.nbytes for t in alike)))
    return sorted(rows, key=lambda row: -row[3])


def shown(value: Any) -> str:
    """One line for a metadata value: escaped, and cut where it is long, saying how much there is."""
    if isinstance(value, str):
        text = printable(value).replace("\n", "\\n").replace("\t", "\\t")
        return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}… ({len(value)} characters)"
    if isinstance(value, bytes):
        return shown(value.decode("utf-8", "backslashreplace"))
    if isinstance(value, Mapping):
        return shown(json.dumps(_plain(value)))
    if hasattr(value, "__len__"):
        return f"[{_first_items(value)}] ({len(value)} values)"
    return shown(str(value))


def _first_items(values: Any) -> str:
    items: list[str] = []
    for value in values:
        if len(items) == MAX_ITEMS:
            items.append("…")
            break
        items.append(shown(value))
    return ", ".join(items)


def _report(checkpoint: Checkpoint) -> str:
    tensors = checkpoint.tensors
    by_type = sizes_by_type(tensors)
    total = ("total", sum(row[1] for row in by_type), sum(row[2] for row in by_type), sum(row[3] for row in by_type))
    return "\n\n".join(
        [
            table("Metadata", "key value", [(shown(key), shown(value)) for key, value in checkpoint.config.items()]),
            table(
                "Tensors",
                "name type shape >bytes",
                [
                    (shown(name), tensor.type.name, "×".join(map(str, tensor.shape)), tensor.data.nbytes)
                    for name, tensor in tensors.items()
                ],
            ),
            table("Sizes", "type >tensors >parameters >bytes", [*by_type, total]),
            f"{shown(str(checkpoint.path))}: {checkpoint.kind}, architecture {shown(checkpoint.architecture)}",
        ]
    )


def _as_dict(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "path": str(checkpoint.path),
        "kind": checkpoint.kind,
        "architecture": checkpoint.architecture,
        "metadata": {key: _plain(value) for key, value in checkpoint.config.items()},
        "tensors": [
            {"name": name, "type": tensor.type.name, "shape": list(tensor.shape), "bytes": tensor.data.nbytes}
            for name, tensor in checkpoint.tensors.items()
        ],
        "sizes": [
            dict(zip(("type", "tensors", "parameters", "bytes"), row, strict=True))
            for row in sizes_by_type(checkpoint.tensors)
        ],
    }


def _plain(value: Any) -> Any:
    """`value` as JSON can hold it; long arrays (a vocabulary) are replaced by their length."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, str) or not hasattr(value, "__len__"):
        return value.item() if hasattr(value, "item") else value
    return [_plain(item) for item in value] if len(value) <= 64 else {"length": len(value)}
