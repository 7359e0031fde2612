"""Checkpoints that differ from what lies on disk: in a field of the configuration, in a tensor, in the format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gemwright.models import describe
from gemwright.weights import Checkpoint, Tensor
from support.gguf_writer import Stored, gguf


def with_config(checkpoint: Checkpoint, changes: Mapping[str, Any]) -> Checkpoint:
    """With these fields in its config.json."""
    return replace(checkpoint, config={**checkpoint.config, **changes})


def with_zeros(checkpoint: Checkpoint, end: str) -> Checkpoint:
    """With zeros in every tensor whose name ends so; there must be one."""
    names = [name for name in checkpoint.tensors if name.endswith(end)]
    assert names, f"no tensor ends with {end}"
    return with_tensors(checkpoint, {name: _zeros(checkpoint.tensors[name]) for name in names})


def with_tensors(checkpoint: Checkpoint, changes: Mapping[str, Tensor | None]) -> Checkpoint:
    """With these tensors added or replaced, or, for None, without them."""
    tensors = {**checkpoint.tensors, **changes}
    return replace(checkpoint, tensors={name: tensor for name, tensor in tensors.items() if tensor is not None})


def write_gguf(checkpoint: Checkpoint, path: Path) -> Path:
    """The same weights and sizes as a GGUF file without a tokenizer: norms have the one added, matrices stay."""
    described = describe(checkpoint)
    metadata = {"general.architecture": described.architecture, **described.metadata()}
    metadata["tokenizer.ggml.token_type"] = np.ones(described.tensors["embed"].shape[0], np.int32)
    stored = {}
    for row in described.rows:
        tensor = described.tensors[row.name]
        if tensor.is_matrix:
            stored[row.gguf] = Stored(tensor.type, tensor.shape, tensor.data.tobytes())
        else:
            stored[row.gguf] = Stored.f32(tensor.to_f32() + np.float32(row.add_one))
    path.write_bytes(gguf(metadata, stored).data)
    return path


def _zeros(tensor: Tensor) -> Tensor:
    return replace(tensor, data=np.zeros_like(tensor.data))
