"""The flat batch: what the engine hands a model for one forward pass.

T tokens of any number of sequences lie on one axis. There is no batch axis, no padding, no mask and no
prefill or decode mode: a new prompt contributes many tokens, a running answer contributes one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Step:
    """Tokens to compute now, sequence by sequence, positions ascending within each.

    tokens: int32[T], each in [0, vocabulary).
    positions: int32[T], absolute position of each token in its own sequence.
    slots: int32[T], the cache slot (`KVCache.open`) of each token's sequence; tokens of one slot are contiguous.
    """

    tokens: I32
    positions: I32
    slots: I32

    def only(self, rows: npt.NDArray[np.int64] | slice) -> Step:
        """The step of these of its tokens, in the same order."""
        return Step(self.tokens[rows], self.positions[rows], self.slots[rows])

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class Cost:
    """What a step of one token reads and multiplies, to compare its speed with what the machine can do.

    weight_bytes: of matrices, as packed; tokens of one step share them. cache_bytes: of keys and values.
    layer_multiplications, head_multiplications: by weights; those of attention are left out, and a step computes the
    head only for tokens whose successor is wanted.
    """

    weight_bytes: int
    cache_bytes: int
    layer_multiplications: int
    head_multiplications: int
