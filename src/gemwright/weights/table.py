"""The tensors an architecture consists of, as a table, and the strict comparison of a checkpoint with it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

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
    """

    name: str
    gguf: str
    safetensors: str
    shape: tuple[int, ...]
    add_one: bool = False


def match(rows: Sequence[Weight], checkpoint: Checkpoint, *, ignore: Collection[str] = ()) -> dict[str, Tensor]:
    """The checkpoint's tensors by `Weight.name`: every row is there with its shape, and nothing is left over.

    ignore: keys that may be left over; one ending in "." stands for all keys that begin with it.
    A separate output head may be left over if it equals the embedding bit for bit (a tied head, written out).
    Raises CheckpointMismatch naming the tensor.
    """
    found = _by_key(checkpoint)
    keys = {row.name: row.gguf if checkpoint.kind == "gguf" else row.safetensors for row in rows}
    missing = [key for key in keys.values() if key not in found]
    if missing:
        raise _mismatch(checkpoint, f"{_named(missing)} missing")
    for row in rows:
        tensor = found[keys[row.name]]
        if tensor.shape != row.shape:
            raise _mismatch(checkpoint, f"tensor {quoted(tensor.name)} has shape {tensor.shape} instead of {row.shape}")
    extra = [key for key in found.keys() - set(keys.values()) if not _is_ignored(key, ignore)]
    head = _HEAD[checkpoint.kind]
    if head in extra:
        _check_tied(checkpoint, found[head], found.get(_EMBEDDING[checkpoint.kind]))
        extra.remove(head)
    if extra:
        raise _mismatch(checkpoint, f"{_named([found[key].name for key in extra])} not part of this architecture")
    return {name: found[key] for name, key in keys.items()}


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
