"""What goes into the engine and what comes out of it, and the four things it is built on, as protocols."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from gemwright.messages import FinishReason, Sampling, SamplingOptions
from gemwright.step import F32, I32, Cost, Step


class Drafter(Protocol):
    """Guesses how one text goes on. Guesses change the speed of an answer, never the answer."""

    def propose(self, tokens: Sequence[int], limit: int) -> Sequence[int]:
        """At most `limit` tokens that may follow `tokens`: prompt and answer so far, at least one token.

        A call's tokens extend those of the call before, so a drafter sees which of its guesses were right.
        """


@runtime_checkable
class Follower(Drafter, Protocol):
    """A drafter that looks into the network that computes its text."""

    def follow(self, network: Network, hidden: F32, cache: Any, slot: int) -> None:
        """What there is to see, before `propose`.

        hidden: the state of the text's last token but one, [1, D]. cache, slot: where the network keeps the text up to
        there. The last token is drawn and not computed yet.
        """


class Speculation(Protocol):
    """A way of guessing (`Lookup`, `DraftModel`, `Assistant`)."""

    def drafter(self, room: int) -> Drafter:
        """A drafter for one text of at most `room` tokens."""


@runtime_checkable
class BoundSpeculation(Speculation, Protocol):
    """A way of guessing that only some networks allow."""

    def check_network(self, network: Network) -> None:
        """Raises UsageError unless `network` is one of them."""


class RequestOptions(SamplingOptions, total=False):
    """What may be asked of one answer by keyword: the fields of `Sampling`, and how it is computed.

    speculation, cache_salt: see `Request`.
    """

    speculation: Speculation | None
    cache_salt: str


class Mask(Protocol):
    """Which tokens an answer may go on with, such as a grammar's."""

    def allowed(self, answer: Sequence[int], /) -> npt.NDArray[np.bool_]:
        """bool[V], True for the ids that may follow `answer`, ids that end it among them. At least one is."""


@dataclass(frozen=True)
class Request:
    """One prompt to continue.

    prompt: token ids, at least one.
    seed: of the draws; `sampling.seed` may be None, this one is decided.
    stop_ids: tokens that end the answer and are not part of it.
    stop: strings that do, besides those of `sampling.stop`.
    speculation: guesses tokens ahead, which are checked together; None computes token by token.
    mask: limits what may be drawn; None allows everything.
    reserved_ids: tokens that no answer has a use for, which `sampling.guard` watches for.
    suppressed_ids: tokens that are never drawn.
    cache_salt: keys and values are shared only with requests of the same one. Whoever can time answers can tell whether
    somebody has asked the same before; give strangers different salts.
    """

    prompt: tuple[int, ...]
    max_tokens: int
    seed: int
    sampling: Sampling = field(default_factory=Sampling)
    stop_ids: frozenset[int] = frozenset()
    stop: tuple[str, ...] = ()
    want_logprobs: bool = False
    speculation: Speculation | None = None
    mask: Mask | None = None
    cache_salt: str = ""
    reserved_ids: frozenset[int] = frozenset()
    suppressed_ids: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Token:
    """One more token of the answer, and the text that is now certain (often none, or that of earlier tokens)."""

    id: int
    text: str
    logprob: float | None


@dataclass(frozen=True)
class Finished:
    """The end of an answer: the text still held back, and the figures. Times in seconds.

    prefill_s: from the step that started the prompt to the first token; waiting in the queue does not count.
    decode_s: from the first token to the last one of the answer.
    cached_tokens: of the prompt, taken over from what was computed before.
    drafted_tokens: guesses that were computed; accepted_tokens: of these, the ones that were right and used.
    """

    reason: FinishReason
    text: str
    prompt_tokens: int
    answer_tokens: int
    prefill_s: float
    decode_s: float
    cached_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0


Event = Token | Finished


class Cache(Protocol):
    """Keys and values of all running sequences (`gemwright.cache.KVCache`)."""

    def reserve(self, max_tokens: int, salt: str = "") -> int:
        """A slot for a sequence of up to `max_tokens`; it shares with those of the same salt. Raises CapacityError."""

    def prepare(self, slot: int, start: int, count: int) -> None:
        """Room for the positions `start` to `start + count` of a slot, before they are written."""

    def reuse(self, slot: int, tokens: Sequence[int]) -> int:
        """How many of the slot's tokens are known, after taking over what others have computed; never the last one."""

    def known_tokens(self, slot: int) -> int:
        """So many tokens from the beginning of the slot others may share."""

    def keep(self, slot: int, tokens: Sequence[int]) -> None:
        """Lets others share the slot's next tokens, which are computed and final, as far as they fill pages."""

    def close(self, slot: int) -> None:
        """The slot and its room are free again."""

    def free_tokens(self) -> int:
        """Room that is not promised to an open slot."""


class NetworkConfig(Protocol):
    """The two facts the engine needs to know of a network."""

    @property
    def context_tokens(self) -> int: ...
    @property
    def vocabulary(self) -> int: ...


class Network(Protocol):
    """A model's forward pass (`gemwright.models`)."""

    @property
    def config(self) -> NetworkConfig: ...

    def new_cache(self, *, capacity_tokens: int, max_step_tokens: int, max_sequences: int) -> Any:
        """A cache of this network's own kind."""

    def forward(self, step: Step, cache: Any, rows: Sequence[int] | None = None) -> F32:
        """float32[T, D] hidden states after the final norm; writes the tokens' keys and values to the cache.

        rows: the tokens of the step whose states are wanted, ascending, [len(rows), D]; all by default.
        """

    def logits(self, hidden: F32) -> F32:
        """float32[n, V] of float32[n, D]."""

    def candidates(self, hidden: F32, k: int, below: int) -> tuple[I32, F32]:
        """Ids and values, int32[n, k] and float32[n, k], of the k largest of each row of `logits`, bit for bit.

        Only ids < below take part, k ≤ below; largest first, of equal ones the lowest id first. The values of a row
        are NaN if any logit that takes part is NaN or infinite.
        """

    def cost(self, depth: int) -> Cost:
        """Of the token after `depth` others."""


class Detokenizer(Protocol):
    """Token ids to text, stop strings held back (`gemwright.text.detokenizer`)."""

    @property
    def stopped(self) -> bool: ...

    def feed(self, token: int, /) -> str:
        """The text that became certain with this token."""

    def finish(self) -> str:
        """What was held back, now that nothing follows."""
