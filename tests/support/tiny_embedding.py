"""The tiny checkpoints of tests/conformance/goldens_embedding and what transformers computed from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gemwright.models import Encoder, architecture_of
from gemwright.models.weights import Precision
from gemwright.weights import open_checkpoint

FOLDER = Path(__file__).resolve().parents[1] / "conformance" / "goldens_embedding"
FIRST = ("sixth", "odd", "long")
SECOND = ("second", "second-long", "second-wrapped")
NAMES = FIRST + SECOND


@dataclass(frozen=True, eq=False)
class Golden:
    """One checkpoint with transformers' float32 answers for one text.

    path: directory to open; tokens: int32[T], <bos> to <eos>; layers: float32[L, T, D], the residual stream after each;
    states: float32[T, D] after the final norm, and EmbeddingGemma 2's projection; vector: float32[n], of length 1.
    """

    path: Path
    tokens: npt.NDArray[np.int32]
    layers: npt.NDArray[np.float32]
    states: npt.NDArray[np.float32]
    vector: npt.NDArray[np.float32]


def golden(name: str) -> Golden:
    """The golden of that name; see PROVENANCE.toml for what each one is about."""
    with np.load(FOLDER / name / "golden.npz") as arrays:
        return Golden(FOLDER / name, *(arrays[key] for key in ("tokens", "layers", "states", "vector")))


def encoder(path: Path | str, precision: Precision = "default") -> Encoder:
    """The network of the checkpoint at `path`, or of the golden of that name."""
    checkpoint = open_checkpoint(FOLDER / path if isinstance(path, str) else path)
    network = architecture_of(checkpoint).build(checkpoint, precision)
    assert isinstance(network, Encoder)
    return network
