"""The tiny Gemma 3 checkpoints of tests/conformance/goldens and what transformers computes from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

FOLDER = Path(__file__).parents[1] / "conformance" / "goldens"
NAMES = ("grouped", "sharded", "thirteen", "irregular", "tower")


@dataclass(frozen=True, eq=False)
class Golden:
    """One checkpoint with transformers' float32 answers for one prompt.

    path: directory to open; tokens: int32[T]; hidden: float32[T, D] after the final norm; logits: float32[T, V].
    layers: float32[L - 1, S, D], the stream after each layer but the last, of the last S tokens.
    answer: int32[A], the most likely continuation.
    """

    path: Path
    tokens: npt.NDArray[np.int32]
    layers: npt.NDArray[np.float32]
    hidden: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32]
    answer: npt.NDArray[np.int32]


def golden(name: str) -> Golden:
    """The golden of that name; see PROVENANCE.toml for what each one is about."""
    with np.load(FOLDER / name / "golden.npz") as arrays:
        return Golden(FOLDER / name, **{key: arrays[key] for key in arrays.files})


def assert_near(found: npt.NDArray[np.float32], expected: npt.NDArray[np.float32], tolerance: float) -> None:
    """max|found - expected| ≤ tolerance · max|expected|; a NaN anywhere fails, and so does another shape."""
    assert found.shape == expected.shape, f"shape {found.shape} instead of {expected.shape}"
    error = float(np.max(np.abs(found - expected))) / float(np.max(np.abs(expected)))
    assert error <= tolerance, f"relative error {error:.2e} is above {tolerance:.0e}"  # false for NaN
