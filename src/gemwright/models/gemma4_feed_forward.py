"""What stands after attention in a layer of Gemma 4: a dense network, or one beside a mixture of experts.

Source: `Gemma4TextMLP`, `Gemma4TextRouter`, `Gemma4TextExperts` of transformers 5.24.
Axes: T tokens, D hidden width, E experts, U experts that a token uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from gemwright import ops
from gemwright.models.gemma4_config import Config
from gemwright.models.weights import Loader
from gemwright.step import F32


class FeedForward(Protocol):
    """One of them."""

    def __call__(self, x: F32, normed: F32) -> F32:
        """[T, D], to be normed and added. x: the residual stream after attention. normed: its norm for networks."""

    def matrices(self) -> list[ops.Matrix]:
        """Every matrix that a token is multiplied by, or others of the same size."""


def load_feed_forward(load: Loader, i: int, c: Config) -> FeedForward:
    """Of layer number `i`."""
    dense = Dense(load.matrix(f"{i}.gate"), load.matrix(f"{i}.up"), load.matrix(f"{i}.down"))
    if c.experts is None:
        return dense
    gates_and_ups = load.matrices(f"{i}.expert_gate_up", cut=2)
    downs = load.matrices(f"{i}.expert_down")
    return Mixture(
        dense=dense,
        dense_out=load.vector(f"{i}.dense_out"),
        router_in=load.vector(f"{i}.router_in") * np.float32(c.hidden**-0.5),
        router=load.matrix(f"{i}.router"),
        used=c.experts.used,
        expert_scale=load.vector(f"{i}.expert_scale"),
        experts_in=load.vector(f"{i}.experts_in"),
        experts=tuple(map(Dense, gates_and_ups[0::2], gates_and_ups[1::2], downs)),
        experts_out=load.vector(f"{i}.experts_out"),
        eps=c.eps,
    )


@dataclass(frozen=True)
class Dense:
    """down · (gelu(gate · x) · (up · x)), for all tokens alike."""

    gate: ops.Matrix
    up: ops.Matrix
    down: ops.Matrix

    def __call__(self, x: F32, normed: F32) -> F32:
        return ops.linear(ops.linear_geglu(normed, self.gate, self.up), self.down)[0]

    def matrices(self) -> list[ops.Matrix]:
        return [self.gate, self.up, self.down]


@dataclass(frozen=True)
class Mixture:
    """A dense network and a mixture of small ones; each token goes through `used` of them, which the router chooses.

    router_in: norm for the router, with its scale and D^-0.5. expert_scale: float32[E]. The rest are norms for what
    their name says, and matrices.
    """

    dense: Dense
    dense_out: F32
    router_in: F32
    router: ops.Matrix
    used: int
    expert_scale: F32
    experts_in: F32
    experts: tuple[Dense, ...]
    experts_out: F32
    eps: float

    def __call__(self, x: F32, normed: F32) -> F32:
        shared = ops.rms_norm(self.dense(x, normed), self.dense_out, self.eps)
        routed = self._mixture(ops.rms_norm(x, self.experts_in, self.eps), *self._route(x))
        return ops.add(shared, ops.rms_norm(routed, self.experts_out, self.eps))

    def matrices(self) -> list[ops.Matrix]:
        """Of the experts as many as a token uses: all have one size."""
        used = [matrix for expert in self.experts[: self.used] for matrix in expert.matrices()]
        return [*self.dense.matrices(), self.router, *used]

    def _route(self, x: F32) -> tuple[npt.NDArray[np.int64], F32]:
        """The experts of each token, ascending, and their shares in its result: int64[T, U], float32[T, U].

        The softmax over the chosen logits is the one over all, divided by the sum of the chosen.
        """
        (logits,) = ops.linear(ops.rms_norm(x, self.router_in, self.eps), self.router)
        chosen = np.sort(np.argsort(-logits, axis=1, kind="stable")[:, : self.used], axis=1)
        share = ops.softmax(np.take_along_axis(logits, chosen, axis=1))
        return chosen, share * self.expert_scale[chosen]

    def _mixture(self, x: F32, chosen: npt.NDArray[np.int64], share: F32) -> F32:
        """Σ share · expert(x) over each token's experts, in ascending order whatever other tokens there are."""
        parts = np.empty((*chosen.shape, x.shape[1]), np.float32)
        for expert in np.unique(chosen):
            tokens, places = np.nonzero(chosen == expert)
            parts[tokens, places] = self.experts[expert](x, x[tokens])
        return ops.mix(parts, share[:, None, :]).reshape(x.shape)
