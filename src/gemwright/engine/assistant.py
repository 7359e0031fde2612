"""Guesses of a drafter that looks into the model it guesses for: Gemma 4's "assistant" checkpoints.

Such a drafter keeps nothing of a text. It begins with the model's own hidden state and reads its keys and values, which
the engine shows it before each draft. As with all guesses, they change the speed of an answer and never the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gemwright.engine.pace import Pace
from gemwright.engine.request import Network
from gemwright.step import F32


class TargetDrafter(Protocol):
    """A drafter's network (`gemwright.models.gemma4_drafter`)."""

    def check_target(self, target: object) -> Any:
        """`target`, if the drafter was made for such a network. Raises UsageError if not."""

    def draft(self, token: int, hidden: F32, target: Any, cache: Any, slot: int, position: int) -> tuple[F32, F32]:
        """The final state for the token after `token`, and what takes the place of `hidden` then."""

    def likeliest(self, state: F32) -> int:
        """The token that such a state makes most likely; −1 where there is none."""


@dataclass(frozen=True)
class Assistant:
    """network: the drafter's (`gemwright.load_assistant`). tokens: the most guesses of one step."""

    network: TargetDrafter
    tokens: int = 8

    def check_network(self, network: Network) -> None:
        """Raises UsageError unless `network` is of the kind the drafter guesses for."""
        self.network.check_target(network)

    def drafter(self, room: int) -> AssistantDrafter:
        """A drafter for one text."""
        return AssistantDrafter(self.network, self.tokens)


class AssistantDrafter:
    """Follows one text. All it remembers is what the engine showed it last, and how its guesses went."""

    def __init__(self, network: TargetDrafter, most: int) -> None:
        self._network = network
        self._pace = Pace(most)
        self._seen: tuple[Network, F32, Any, int] | None = None

    def follow(self, network: Network, hidden: F32, cache: Any, slot: int) -> None:
        """See `request.Follower`."""
        self._seen = network, hidden, cache, slot

    def propose(self, tokens: Sequence[int], limit: int) -> Sequence[int]:
        """The most likely continuation; nothing without having seen what the model made of the text."""
        self._pace.learn(tokens)
        length, seen, self._seen = min(self._pace.length, limit), self._seen, None
        if length < 1 or seen is None:
            return ()
        target, hidden, cache, slot = seen
        draft: list[int] = []
        token, position = tokens[-1], len(tokens) - 1
        while len(draft) < length:
            state, hidden = self._network.draft(token, hidden, target, cache, slot, position)
            token = self._network.likeliest(state)
            if token < 0:
                break
            draft.append(token)
        self._pace.drafted(draft)
        return draft
