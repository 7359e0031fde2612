"""Optimisation levels: into which type each matrix of a checkpoint goes. docs/decisions/levels.md says why.

A level is a promise about size. It never changes what is computed, only in how many bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gemwright import ops
from gemwright.errors import UnsupportedModel, UsageError
from gemwright.weights.checkpoint import Checkpoint
from gemwright.weights.convert import CONVERTIBLE
from gemwright.weights.mapped import release
from gemwright.weights.tensor import Tensor
from gemwright.weights.types import TensorType

HEADS = ("dense_2", "dense_3", "projection")
"""Matrices that make the vector of a text: used once for each, so that 8 bits cost nothing, and every error shows."""
FLOATS = (TensorType.F32, TensorType.F16, TensorType.BF16)
TABLES = ("embed", "per_layer_embed")
"""Matrices with a row for each token: they need 8 bits even where the others do with 4."""

FLOAT_MATRICES = ("altup_router", "router")
"""Last parts of the names of matrices that stay in 16 bits: a few rows, which decide how much of each stream every
other one gets, or what experts compute a token. They are less than a thousandth of the weights."""


@dataclass(frozen=True)
class Level:
    """One of the words `load` understands.

    bits: what a weight of a matrix takes at most, scales included; the mean of the layers' matrices counts.
    precision: how activations are computed unless asked otherwise, see `models.weights.Precision`.
    """

    bits: float
    precision: Literal["default", "exact"]
    meaning: str


LEVELS = {
    "stored": Level(32.0, "default", "weights in the types the file has"),
    "maximum_efficiency": Level(6.0, "default", "4-bit weights, the embedding in 8 bits; 8-bit activations"),
    "balanced": Level(9.0, "default", "8-bit weights; 8-bit activations, each token's outliers kept in float"),
    "performance": Level(16.0, "exact", "16-bit weights; computed as float math would"),
}


def check_level(level: str) -> str:
    """`level` if there is such a one; otherwise UsageError listing them."""
    if level not in LEVELS:
        raise UsageError(f"There is no optimization level {level!r}.", hint=f"Levels: {', '.join(LEVELS)}.")
    return level


def plan_types(checkpoint: Checkpoint, tensors: Mapping[str, Tensor]) -> dict[str, TensorType]:
    """The type each of `tensors` has once loaded at `checkpoint.level`, by the same names, those of `table.Weight`.

    Floats are converted. Types of fewer bits stay, because what was rounded twice is worse than either; only Q8_0 is
    precise enough to become 4 bits, and does where the file as stored takes more than the level promises. A matrix
    whose columns no block divides stays in 16 bits, and so do FLOAT_MATRICES. Weights on a Q4_0 grid get just that
    (this reads them).
    Raises UnsupportedModel when what stays is more than the level promises.
    """
    level = check_level(checkpoint.level)
    stored = {name: tensor.type for name, tensor in tensors.items()}
    is_small = _mean_bits(tensors, stored) <= LEVELS[level].bits
    types = {name: _type(name, tensor, level, is_small) for name, tensor in tensors.items()}
    if (bits := _mean_bits(tensors, types)) > LEVELS[level].bits:
        raise UnsupportedModel(
            f"{checkpoint.path} stores {bits:.1f} bits for each weight, and {level} promises at most "
            f"{LEVELS[level].bits:g}.",
            hint="Weights that were rounded once are not rounded again: start from the original checkpoint, or load "
            "this one as stored.",
        )
    return types


def _type(name: str, tensor: Tensor, level: str, is_small: bool) -> TensorType:
    if level == "stored" or not tensor.is_matrix:
        return tensor.type
    stays_float = name.rpartition(".")[2] in FLOAT_MATRICES
    if tensor.type not in FLOATS:
        keep = is_small or stays_float or tensor.type not in CONVERTIBLE
        return tensor.type if keep else _quantised(name, tensor, level)
    if level == "performance" or stays_float or tensor.shape[-1] % TensorType.Q4_0.block_values:
        return TensorType.BF16 if tensor.type is TensorType.F32 else tensor.type
    on_grid = ops.is_on_q4_0_grid(tensor.data, int(tensor.type))  # ends at the first block that is not
    release(tensor.data)
    return TensorType.Q4_0 if on_grid else _quantised(name, tensor, level)


def _quantised(name: str, tensor: Tensor, level: str) -> TensorType:
    if level != "maximum_efficiency" or name in TABLES + HEADS:
        return TensorType.Q8_0
    return TensorType.Q4_K if tensor.shape[-1] % TensorType.Q4_K.block_values == 0 else TensorType.Q5_0


def _mean_bits(tensors: Mapping[str, Tensor], types: Mapping[str, TensorType]) -> float:
    """Of the layers' quantised matrices: floats that no block fits are too few to matter in any Gemma."""
    counted = [n for n, t in tensors.items() if t.is_matrix and n not in TABLES + HEADS and types[n] not in FLOATS]
    values = sum(tensors[name].values for name in counted)
    return sum(tensors[name].values * bits_per_value(types[name]) for name in counted) / max(values, 1)


def bits_per_value(type_: TensorType) -> float:
    """Bits that a number of this type takes, scales included."""
    return 8 * type_.block_bytes / type_.block_values
