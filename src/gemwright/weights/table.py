"""The tensors an architecture consists of, as a table, and the strict comparison of a checkpoint with it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gemwright.errors import CheckpointMismatch
from gemwright.weights.checkpoint import Checkpoint
from gemwright.weights.quoted import quoted
from gemwright.weights.tensor import Tensor

PREFIXES = ("model.language_model.", "language_model.model.", "model.", "language_model.")
"""What safetensors files put before a text tensor's name, by age and class of the model; the first that fits goes."""

_EMBEDDING = {"gguf": "token_embd.weight", "safetensors": "embed_tokens.weight"}
_HEAD = {"gguf": "output.weight", "safetensors": "lm_head.weight"}

_HINT = "The file may belong to another size or generation; `gemwright inspect PATH` shows what it holds."


@dataclass(frozen=True)
class Weight:
    """A row of the table.

    name: ours, unique in the table.
    gguf, safetensors: its key in such a file, the latter without any of `PREFIXES`.
    shape: row-major, (out, in) for matrices.
    add_one: safetensors stores the scale minus one (Gemma's norms); GGUF files have the one added already.
    part: (number, count) of a matrix that GGUF files keep in a stack, tensor[count, out, in]; rows of one stack share
    their GGUF key.
    gguf_rows: so many rows a table has in the GGUF files we write; those it lacks are copies of the first.
    unread: the tensor has no part in the computation and may be missing. Files we write keep it: other programs ask
    for it.
    """

    name: str
    gguf: str
    safetensors: str
    shape: tuple[int, ...]
    add_one: bool = False
    part: tuple[int, int] | None = None
    gguf_rows: int | None = None
    unread: bool = False

    def stored_shape(self, kind: Literal["gguf", "safetensors"]) -> tuple[int, ...]:
        """Of the whole tensor that a file of that kind has for it."""
        return (self.part[1], *self.shape) if self.part and kind == "gguf" else self.shape


def match(rows: Sequence[Weight], checkpoint: Checkpoint, *, ignore: Collection[str] = ()) -> dict[str, Tensor]:
    """The checkpoint's tensors by `Weight.name`: every row is there with its shape, and nothing is left over.

    Of a stack each row gets its own matrix. Rows nobody reads are among them only if the file has them.

    ignore: keys that may be left over; one ending in "." stands for all keys that begin with it.
    A separate output head may be left over if it equals the embedding bit for bit (a tied head, written out).
    Raises CheckpointMismatch naming the tensor.
    """
    found = _by_key(checkpoint)
    keys = {row.name: row.gguf if checkpoint.kind == "gguf" else row.safetensors for row in rows}
    missing = {keys[row.name]: None for row in rows if keys[row.name] not in found and not row.unread}
    if missing:
        raise _mismatch(checkpoint, f"{_named(list(missing))} missing")
    present = [row for row in rows if keys[row.name] in found]
    for row in present:
        tensor, shape = found[keys[row.name]], row.stored_shape(checkpoint.kind)
        if tensor.shape != shape:
            raise _mismatch(checkpoint, f"tensor {quoted(tensor.name)} has shape {tensor.shape} instead of {shape}")
    extra = [key for key in found.keys() - set(keys.values()) if not _is_ignored(key, ignore)]
    head = _HEAD[checkpoint.kind]
    if head in extra:
        _check_tied(checkpoint, found[head], found.get(_EMBEDDING[checkpoint.kind]))
        extra.remove(head)
    if extra:
        raise _mismatch(checkpoint, f"{_named([found[key].name for key in extra])} not part of this architecture")
    return {row.name: _own(row, found[keys[row.name]], checkpoint.kind) for row in present}


def _own(row: Weight, tensor: Tensor, kind: str) -> Tensor:
    return tensor.part(row.part[0]) if row.part and kind == "gguf" else tensor


def _by_key(checkpoint: Checkpoint) -> dict[str, Tensor]:
    if checkpoint.kind == "gguf":
        return dict(checkpoint.tensors)
    found: dict[str, Tensor] = {}
    for name, tensor in checkpoint.tensors.items():
        key = name[len(next((prefix for prefix in PREFIXES if name.startswith(prefix)), "")) :]
        if key in found:
            raise _mismatch(
                checkpoint, f"tensors {quoted(found[key].name)} and {quoted(name)} are the same one under two names"
            )
        found[key] = tensor
    return found


def _is_ignored(key: str, ignore: Collection[str]) -> bool:
    return key in ignore or any(entry.endswith(".") and key.startswith(entry) for entry in ignore)


def _check_tied(checkpoint: Checkpoint, head: Tensor, embedding: Tensor | None) -> None:
    tied = (
        embedding is not None
        and (head.type, head.shape) == (embedding.type, embedding.shape)
        and np.array_equal(head.data, embedding.data)
    )
    if not tied:
        raise _mismatch(
            checkpoint, f"the output head {quoted(head.name)} differs from the embedding, which should be both"
        )


def _named(names: list[str]) -> str:
    """`tensor 'a' is` or `3 tensors ('a', 'b', …) are`."""
    if len(names) == 1:
        return f"tensor {quoted(names[0])} is"
    shown = ", ".join(quoted(name) for name in sorted(names)[:3])
    return f"{len(names)} tensors ({shown}{', …' if len(names) > 3 else ''}) are"


def _mismatch(checkpoint: Checkpoint, problem: str) -> CheckpointMismatch:
    return CheckpointMismatch(f"{checkpoint.path}: {problem}.", hint=_HINT)
