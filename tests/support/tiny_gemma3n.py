"""The tiny Gemma 3n checkpoints of tests/conformance/goldens_gemma3n and what transformers computes from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

FOLDER = Path(__file__).parents[1] / "conformance" / "goldens_gemma3n"
NAMES = ("patterns", "sliced", "long", "tower")
LOOK_EVERY = 7
"""`Golden.states` are of every seventh token."""


@dataclass(frozen=True, eq=False)
class Golden:
    """One checkpoint with transformers' float32 answers for one prompt.

    path: directory to open; tokens: int32[T]; hidden: float32[T, D] after the final norm; logits: float32[T, V];
    states: float32[L, T / LOOK_EVERY, S, D], the streams after each layer; answer: int32[n], greedy tokens that follow.
    """

    path: Path
    tokens: npt.NDArray[np.int32]
    hidden: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32]
    states: npt.NDArray[np.float32]
    answer: npt.NDArray[np.int32]


def golden(name: str) -> Golden:
    """The golden of that name; see PROVENANCE.toml for what each one is about."""
    with np.load(FOLDER / name / "golden.npz") as arrays:
        return Golden(FOLDER / name, **dict(arrays))
