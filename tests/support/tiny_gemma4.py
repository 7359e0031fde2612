"""The tiny Gemma 4 checkpoints of tests/conformance/goldens_gemma4, what transformers computes from them, and ways to
change them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gemwright import ops
from gemwright.models import ARCHITECTURES, Description, describe
from gemwright.models.gemma4 import Gemma4
from gemwright.models.weights import Precision
from gemwright.weights import Checkpoint, Tensor, TensorType, open_checkpoint
from support.gguf_writer import Stored, gguf

FOLDER = Path(__file__).parents[1] / "conformance" / "goldens_gemma4"
NAMES = ("e2b", "e4b", "31b", "12b", "26b", "one_expert", "everything")
SHARING = ("e2b", "e4b", "everything")
MIXTURES = ("26b", "one_expert", "everything")
IN_GGUF = tuple(name for name in NAMES if name != "31b")
"""Those whose rope is as GGUF files have it."""

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Golden:
    """One checkpoint with transformers' float32 answers for one prompt.

    path: directory to open; tokens: int32[T]; states: float32[L, S, D] of the last S tokens, the embedding and what
    leaves each layer but the last; hidden: float32[T, D] after the final norm; logits: float32[T, V]; greedy: int32[n],
    what follows.
    """

    path: Path
    tokens: npt.NDArray[np.int32]
    states: F32
    hidden: F32
    logits: F32
    greedy: npt.NDArray[np.int32]


def golden(name: str) -> Golden:
    """The golden of that name; see PROVENANCE.toml for what each one is about."""
    with np.load(FOLDER / name / "golden.npz") as arrays:
        return Golden(FOLDER / name, *(arrays[key] for key in ("tokens", "states", "hidden", "logits", "greedy")))


def network(checkpoint: Checkpoint | str, precision: Precision = "default") -> Gemma4:
    """Of a golden or of an opened checkpoint, with keys and values in float32 as transformers keeps them."""
    if isinstance(checkpoint, str):
        checkpoint = open_checkpoint(golden(checkpoint).path)
    net = ARCHITECTURES[checkpoint.architecture].build(checkpoint, precision)
    assert isinstance(net, Gemma4)
    net.kv_format = ops.KVFormat.F32
    return net


def changed(name: str, *, tensors: Mapping[str, float] | None = None, **config: Any) -> Checkpoint:
    """A golden's checkpoint with other facts. tensors: all whose name ends so are filled with that value.

    config: fields of the text model; None takes one away.
    """
    checkpoint = open_checkpoint(golden(name).path)
    held = dict(checkpoint.tensors)
    for ending, value in (tensors or {}).items():
        places = [key for key in held if key.endswith(ending)]
        assert places, f"{name} has no tensor {ending}"
        held |= {key: filled(held[key], value) for key in places}
    text = {**checkpoint.config.get("text_config", checkpoint.config), **config}
    text = {key: value for key, value in text.items() if value is not None}
    whole = {**checkpoint.config, "text_config": text} if "text_config" in checkpoint.config else text
    return replace(checkpoint, tensors=held, config=whole)


def filled(tensor: Tensor, value: float) -> Tensor:
    """A float32 tensor of the same name and shape with `value` everywhere."""
    data = np.full(tensor.shape, value, np.float32).view(np.uint8).reshape(-1)
    return replace(tensor, type=TensorType.F32, data=data)


def as_gguf(checkpoint: Checkpoint, path: Path, **metadata: Any) -> Path:
    """The same weights in a GGUF file, matrices in the types they have. metadata: replaces keys, without `gemma4.`."""
    described = describe(checkpoint)
    keys = {"general.architecture": described.architecture, **described.metadata(), **_vocabulary(described)}
    keys |= {f"gemma4.{key.replace('__', '.')}": value for key, value in metadata.items()}
    tensors = {row.gguf: _stored(described.tensors[row.name]) for row in described.rows}
    tensors |= {name: Stored.f32(values) for name, values in described.constants.items()}
    path.write_bytes(gguf({key: value for key, value in keys.items() if value is not None}, tensors).data)
    return path


def _vocabulary(described: Description) -> dict[str, Any]:
    return {"tokenizer.ggml.token_type": np.ones(described.tensors["embed"].shape[0], np.int32)}


def _stored(tensor: Tensor) -> Stored:
    if tensor.is_matrix:
        return Stored(tensor.type, tensor.shape, tensor.data.tobytes())
    return Stored.f32(tensor.to_f32())
