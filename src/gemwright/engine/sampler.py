"""From one row of logits to one token. The order of the steps is written here and only here:

  1. logit_bias       added to the logits named
  2. repetition_penalty   on every token of prompt and answer: a positive logit is divided by it, any other multiplied
                      (CTRL, arXiv:1909.05858 §4.1, with the sign rule of Hugging Face's processor)
  3. frequency_penalty times how often the answer holds the token, and presence_penalty once if it does, subtracted
                      (OpenAI's meaning: the prompt does not count)
  4. temperature      divides the logits; 0 ends here with the largest logit, of equal ones the lowest id
  5. top_k            keeps the k largest; 0 keeps all
  6. top_p            of what is left, keeps the fewest, largest first, whose share reaches p
  7. min_p            keeps those at least min_p times as probable as the most probable one
  8. draw             one uniform number picks by cumulative share, largest first (of equal ones the lowest id first)

Steps 5 to 7 each keep a beginning of the same sorted order, so only that beginning is ever sorted. The uniform number
is a hash of (seed, index in the answer): it knows no batch, no thread and no other request.

The log-probability reported is the model's own: of the row as it came, before step 1.

Greedy answers and those with a small top_k look at a few of the largest logits only, so the network need not make the
others (`Candidates`). The draw is the same one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from gemwright import ops
from gemwright.errors import NotFinite, UsageError
from gemwright.messages import Sampling
from gemwright.step import F32, I32

F64 = npt.NDArray[np.float64]

MOST_CANDIDATES = 64
"""A top_k above it takes the whole row."""
_HEAD = 256  # tokens looked at first when nothing but probability limits the choice
_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 2**64 - 1


@dataclass(frozen=True)
class Choice:
    """The token drawn and, if it was asked for, its natural log-probability under the unmodified row."""

    token: int
    logprob: float | None


@dataclass(frozen=True)
class Candidates:
    """The largest logits of a row, largest first and of equal ones the lowest id first: int32[k], float32[k].

    The values are NaN if the row held a NaN or an infinity.
    """

    ids: I32
    values: F32

    def without(self, ids: frozenset[int]) -> Candidates:
        """Those that are not among `ids`, in the same order."""
        kept = ~np.isin(self.ids, list(ids)) if ids else None
        return self if kept is None or kept.all() else Candidates(self.ids[kept], self.values[kept])


Scores: TypeAlias = "F32 | Candidates"
"""A whole row of logits, float32[V], or only its largest."""


def candidates_needed(sampling: Sampling) -> int:
    """How many of the largest logits decide the draw; 0 if only the whole row does."""
    if Penalties.needed(sampling):
        return 0
    if sampling.temperature == 0:
        return 1
    return sampling.top_k if sampling.top_k <= MOST_CANDIDATES else 0


def choose(
    row: F32,
    sampling: Sampling,
    uniform: float,
    *,
    drawable: int | None = None,
    penalties: Penalties | None = None,
    allowed: npt.NDArray[np.bool_] | None = None,
    want_logprob: bool = False,
) -> Choice:
    """The next token by `sampling`. row: float32[V], not changed. uniform: in [0, 1), see `uniform_at`.

    drawable: only tokens below it may come out, because networks may have more rows than tokens, as padding.
    penalties: the request's own, or None when `Penalties.needed` is false for its sampling.
    allowed: bool[V], True for tokens that may come out; the others are left out before step 4.
    Raises NotFinite if the row holds a NaN or an infinity, UsageError if no token may come out.
    """
    adjusted = row[:drawable] if penalties is None else penalties.apply(row)[:drawable]
    _check_finite(adjusted)
    if allowed is None:
        token = _take(adjusted, sampling, uniform)
    else:
        ids = _ids(allowed[:drawable])
        token = int(ids[_take(adjusted[ids], sampling, uniform)])
    return Choice(token, float(row[token]) - ops.log_sum_exp(row) if want_logprob else None)


def choose_among(candidates: Candidates, sampling: Sampling, uniform: float) -> Choice:
    """What `choose` gives for the row that at least `candidates_needed(sampling)` candidates are of. Raises NotFinite.

    candidates: fewer only if there are no more tokens.
    """
    ids, values = candidates.ids, candidates.values
    if not np.isfinite(values).all():
        raise _not_finite("nan among the logits")
    if sampling.temperature == 0:
        return Choice(int(ids[0]), None)
    return Choice(_draw_among(ids[: sampling.top_k], values[: sampling.top_k], sampling, uniform), None)


def uniform_at(seed: int, index: int) -> float:
    """The random number in [0, 1) for the token `index` of an answer: 53 bits of splitmix64.

    Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", doi:10.1145/2660193.2660195.
    """
    stream = _mix(seed + _GOLDEN)
    return (_mix(stream + (index + 1) * _GOLDEN) >> 11) * 2.0**-53


class Penalties:
    """Steps 1 to 3 for one request. Remembers which tokens were seen; costs what was seen, not the vocabulary."""

    def __init__(self, sampling: Sampling, prompt: Iterable[int]) -> None:
        self._sampling = sampling
        self._bias_ids = np.fromiter(sampling.logit_bias.keys(), np.int64)
        self._bias = np.fromiter(sampling.logit_bias.values(), np.float32)
        self._index = {token: i for i, token in enumerate(dict.fromkeys(prompt))}
        self._ids = np.fromiter(self._index, np.int64)
        self._counts = np.zeros(len(self._ids), np.float32)  # in the answer; 0 for tokens of the prompt alone

    @staticmethod
    def needed(sampling: Sampling) -> bool:
        """Whether `sampling` changes any logit at all."""
        return bool(
            sampling.logit_bias
            or sampling.repetition_penalty != 1
            or sampling.frequency_penalty
            or sampling.presence_penalty
        )

    def record(self, token: int) -> None:
        """`token` is now part of the answer."""
        index = self._index.setdefault(token, len(self._index))
        if index == len(self._ids):
            self._ids = np.resize(self._ids, 2 * index + 8)
            self._counts = np.concatenate([self._counts, np.zeros(index + 8, np.float32)])
        self._ids[index] = token
        self._counts[index] += 1

    def apply(self, row: F32) -> F32:
        """A copy of `row` (float32[V]) with bias and penalties."""
        s, row = self._sampling, row.copy()
        row[self._bias_ids] += self._bias
        ids, counts = self._ids[: len(self._index)], self._counts[: len(self._index)]
        seen = row[ids]
        seen = np.where(seen > 0, seen / np.float32(s.repetition_penalty), seen * np.float32(s.repetition_penalty))
        seen -= np.float32(s.frequency_penalty) * counts + np.float32(s.presence_penalty) * (counts > 0)
        row[ids] = seen
        return row


def _ids(allowed: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    ids = np.flatnonzero(allowed)
    if not len(ids):
        raise UsageError("The mask of the answer allows no token.")
    return ids


def _take(row: F32, s: Sampling, uniform: float) -> int:
    return ops.argmax(row) if s.temperature == 0 else _draw(row, s, uniform)


def _draw(row: F32, s: Sampling, uniform: float) -> int:
    """Steps 4 to 8. Looks at a beginning of the sorted row that grows until it surely holds the answer."""
    everything = len(row)
    if s.top_k:
        return _draw_among(*_largest(row, min(s.top_k, everything)), s, uniform)
    count, mass = min(_HEAD, everything), float(_weights(row, row.max(), s.temperature).sum())
    while count < everything:
        ids, values = _largest(row, count)
        weights = _weights(values, values[0], s.temperature)
        cumulative = np.cumsum(weights)
        kept = _kept(weights, cumulative, mass, s)
        if kept < count:
            return _pick(ids, cumulative[:kept], uniform * float(cumulative[kept - 1]))
        if s.top_p == 1 and s.min_p == 0 and uniform * mass < cumulative[-1]:
            return _pick(ids, cumulative, uniform * mass)
        count = min(16 * count, everything)
    return _draw_among(*_largest(row, everything), s, uniform)


def _draw_among(ids: I32, values: F32, s: Sampling, uniform: float) -> int:
    """Steps 4 to 8 when step 5 leaves exactly these."""
    weights = _weights(values, values[0], s.temperature)
    cumulative = np.cumsum(weights)
    kept = _kept(weights, cumulative, float(cumulative[-1]), s)
    return _pick(ids, cumulative[:kept], uniform * float(cumulative[kept - 1]))


def _kept(weights: F64, cumulative: F64, mass: float, s: Sampling) -> int:
    """How many of the sorted candidates top_p and min_p leave: at least one, all if neither cuts among these."""
    kept = len(weights)
    if s.top_p < 1:
        kept = min(kept, 1 + int(np.searchsorted(cumulative, s.top_p * mass, side="left")))
    if s.min_p > 0:
        kept = min(kept, int(np.count_nonzero(weights >= s.min_p)))  # the first weighs 1
    return kept


def _pick(ids: I32, cumulative: F64, target: float) -> int:
    index = int(np.searchsorted(cumulative, target, side="right"))
    return int(ids[min(index, len(cumulative) - 1)])  # rounding may put the target on the very end


def _weights(values: F32, largest: np.float32, temperature: float) -> F64:
    """exp((value - largest) / temperature) in float64: 1 for the most probable token."""
    with np.errstate(over="ignore"):  # a tiny temperature: -inf, so weight 0, is what is meant
        weights: F64 = np.exp((values.astype(np.float64) - float(largest)) / temperature)
        return weights


def _largest(row: F32, count: int) -> tuple[I32, F32]:
    """Ids and values of the `count` largest, by value descending, then id ascending."""
    if count < len(row):
        return ops.top_k(row, count)
    ids = np.argsort(-row, kind="stable").astype(np.int32)
    return ids, row[ids]


def _check_finite(row: F32) -> None:
    """A NaN or an infinity anywhere makes the sum one too; a finite sum therefore proves the row."""
    with np.errstate(over="ignore", invalid="ignore"):
        if math.isfinite(float(row.sum())) or bool(np.isfinite(row).all()):
            return
    bad = int(np.flatnonzero(~np.isfinite(row))[0])
    raise _not_finite(f"{row[bad]} as the logit of token {bad}")


def _not_finite(what: str) -> NotFinite:
    return NotFinite(
        f"The model gave {what}: no token can be chosen.",
        hint="The model file is probably damaged; check it with `gemwright inspect`. The other cause is keys or values "
        'too large for half precision: load with cache_format="f32" to rule it out.',
    )


def _mix(x: int) -> int:
    x &= _MASK
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & _MASK
    return x ^ (x >> 31)
