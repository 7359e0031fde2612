"""From a checkpoint to a GGUF file of fewer bits, which gemwright and llama.cpp read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from gemwright.atomic import NO_ROOM, locked, replacing, write_all
from gemwright.errors import FileError, UsageError
from gemwright.loading import open_named
from gemwright.models import Description, describe
from gemwright.settings import load_settings
from gemwright.step import F32
from gemwright.text.gguf_target import gguf_tokenizer
from gemwright.weights import (
    CONVERTIBLE,
    TABLES,
    Bytes,
    Entry,
    StringArray,
    Tensor,
    TensorType,
    Weight,
    bits_per_value,
    check_level,
    converted,
    file_bytes,
    plan_types,
    release,
    write_gguf,
)

TYPES = {
    kind.name: kind for kind in (TensorType.BF16, TensorType.F16, TensorType.Q8_0, TensorType.Q5_0, TensorType.Q4_0)
}
"""Types that every matrix of a Gemma can be written in."""

_FILE_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 7, "Q5_0": 8, "Q4_K": 15, "BF16": 32}
"""`general.file_type`, what most of a file is; numbers of llama.cpp's `llama_ftype`, build 11434."""

_SLAB_BYTES = 16 << 20
_WAITING = "Another process is quantising; waiting for it."


@dataclass(frozen=True)
class Written:
    """A finished file. by_type: bytes of its tensors by type name."""

    path: Path
    bytes: int
    by_type: dict[str, int]


def quantise_file(
    source: str | os.PathLike[str] | None,
    target: str | os.PathLike[str],
    *,
    level: str = "maximum_efficiency",
    matrices: str | None = None,
    force: bool = False,
    announce: Callable[[str], None] = lambda sentence: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Written:
    """Writes the model `source` (as `gemwright.load` takes it) at `level` to the GGUF file `target`.

    matrices: a key of TYPES, for every matrix alike, instead of what the level would choose. force: replaces `target`
    if it exists. progress: is given bytes written and bytes in all. The file appears whole or not at all, and memory
    holds 16 MiB of it at a time.
    Raises UsageError, FileError (exists, no room), NotFinite, and what opening the source raises.
    """
    path = Path(target).expanduser()
    _check_target(path, force)
    kind = _matrix_type(matrices)
    settings = load_settings()
    checkpoint = replace(open_named(source, settings, announce), level=check_level(level))
    described = describe(checkpoint)
    types = plan_types(checkpoint, described.tensors) if kind is None else _alike(described, kind)
    metadata = _metadata(described, types)
    entries = _entries(described, types)
    entries += [_constant(name, values) for name, values in described.constants.items()]
    total = file_bytes(metadata, entries)
    with _errors_explained(path, total):
        settings.cache_dir.mkdir(parents=True, exist_ok=True)
        lock = settings.cache_dir / "quantise.lock"  # not beside the file, where nobody would clear it away
        with locked(lock, lambda: announce(_WAITING)), replacing(path, total) as descriptor:
            write_gguf(_counting(descriptor, total, progress), metadata, entries)
    sizes = {name: sum(e.nbytes for e in entries if e.type.name == name) for name in {e.type.name for e in entries}}
    return Written(path, total, sizes)


def _check_target(path: Path, force: bool) -> None:
    if path.is_dir():
        raise FileError(f"{path} is a directory.", hint="Name the .gguf file to write.")
    if path.exists() and not force:
        raise FileError(f"{path} exists.", hint="Choose another name, or replace it with --force.")
    if not path.parent.is_dir():
        raise FileError(f"There is no directory {path.parent}.", hint="Make it first.")


def _matrix_type(name: str | None) -> TensorType | None:
    if name is not None and name.upper() not in TYPES:
        raise UsageError(f"There is no type {name!r} to write.", hint=f"Types: {', '.join(TYPES)}.")
    return None if name is None else TYPES[name.upper()]


def _alike(described: Description, kind: TensorType) -> dict[str, TensorType]:
    """Every matrix as `kind`. Raises UsageError where it is stored in a type that is not converted."""
    types: dict[str, TensorType] = {}
    for name, tensor in described.tensors.items():
        types[name] = kind if tensor.is_matrix else tensor.type
        if tensor.type is not types[name] and tensor.type not in CONVERTIBLE:
            raise UsageError(
                f"Tensor {tensor.name} is stored as {tensor.type.name}, which is not converted again.",
                hint="Start from the original checkpoint.",
            )
    return types


def _metadata(described: Description, types: Mapping[str, TensorType]) -> dict[str, Any]:
    checkpoint = described.checkpoint
    if checkpoint.kind == "gguf":
        metadata = {
            key: value
            for key, value in checkpoint.config.items()
            if key != "general.alignment" and not key.startswith("split.")
        }
    else:
        name = checkpoint.directory.resolve().name
        metadata = {"general.architecture": described.architecture, "general.type": "model", "general.name": name}
        own = described.metadata()  # refuses what GGUF cannot say; may differ from others in how a text ends
        metadata |= {**gguf_tokenizer(checkpoint, described.tensors["embed"].shape[0]), **own}
        pieces = metadata["tokenizer.ggml.tokens"]
        metadata["tokenizer.ggml.tokens"] = StringArray(pieces.raw, len(pieces.types))
    sizes: dict[str, int] = {}
    for name, kind in types.items():
        if described.tensors[name].is_matrix and name not in TABLES:
            sizes[kind.name] = sizes.get(kind.name, 0) + described.tensors[name].values
    main = max(sizes, key=lambda name: sizes[name])
    kept = metadata.get("general.file_type", 0)
    return {**metadata, "general.quantization_version": 2, "general.file_type": _FILE_TYPES.get(main, kept)}


def _entries(described: Description, types: Mapping[str, TensorType]) -> list[Entry]:
    """One for each tensor of the file, in the order of the table; rows of a stack are one."""
    stacks: dict[str, list[Weight]] = {}
    for row in described.rows:
        if row.name in described.tensors:
            stacks.setdefault(row.gguf, []).append(row)
    return [_entry(rows, described, types) for rows in stacks.values()]


def _entry(rows: Sequence[Weight], described: Description, types: Mapping[str, TensorType]) -> Entry:
    row, tensor = rows[0], described.tensors[rows[0].name]
    if tensor.is_matrix:
        # A stack has one type. Its matrices differ only if a level found some of them on a Q4_0 grid.
        kind = max((types[row.name] for row in rows), key=bits_per_value)
        shape = (row.gguf_rows or tensor.shape[0], *tensor.shape[1:]) if row.part is None else row.stored_shape("gguf")
        parts = [described.tensors[row.name] for row in rows]
        return Entry(row.gguf, kind, shape, lambda: chain(_slabs(parts, kind), _padding(tensor, kind, row.gguf_rows)))
    offset = np.float32(1 if row.add_one and described.checkpoint.kind == "safetensors" else 0)
    return Entry(row.gguf, TensorType.F32, tensor.shape, lambda: [(tensor.to_f32() + offset).view(np.uint8)])


def _constant(name: str, values: F32) -> Entry:
    return Entry(name, TensorType.F32, values.shape, lambda: [values.view(np.uint8)])


def _slabs(parts: Sequence[Tensor], kind: TensorType) -> Iterator[Bytes]:
    for tensor in parts:
        row_bytes = tensor.data.size // tensor.shape[0]
        step = max(_SLAB_BYTES // row_bytes, 1) * row_bytes
        for at in range(0, tensor.data.size, step):
            part = tensor.data[at : at + step]
            yield part if kind is tensor.type else converted(tensor, part, kind)
            release(part)


def _padding(table: Tensor, kind: TensorType, rows: int | None) -> Iterator[Bytes]:
    """Copies of the first row up to `rows`."""
    first = table.data[: table.data.size // table.shape[0]]
    for _ in range(table.shape[0], rows or 0):
        yield first if kind is table.type else converted(table, first, kind)


def _counting(descriptor: int, total: int, progress: Callable[[int, int], None]) -> Callable[[Any], None]:
    done = 0

    def write(block: Any) -> None:
        nonlocal done
        write_all(descriptor, block)
        done += len(block)
        progress(done, total)

    return write


@contextmanager
def _errors_explained(path: Path, total: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise FileError(
                f"There is no room for {path}, which takes {total / 1e6:,.0f} MB: {error.strerror}.",
                hint="Free some space, or write it to another disk.",
            ) from error
        raise FileError(f"{path} cannot be written: {error.strerror}.", hint="Choose another place for it.") from error
