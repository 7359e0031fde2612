"""The engine's answers without its cache: the whole text is computed anew for every token.

Slow on purpose. The same request gives the same tokens, which is what it is good for: to see that this is so.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from gemwright.engine.events import EventStream
from gemwright.engine.request import Detokenizer, Network, Request
from gemwright.engine.scoring import last_logits
from gemwright.engine.ticket import Outcome, Ticket
from gemwright.engine.validate import check_request


class UncachedEngine:
    """Takes what `Engine` takes, and computes each request when it is pulled."""

    def __init__(
        self, network: Network, detokenizer: Callable[[tuple[str, ...]], Detokenizer], *, vocabulary: int
    ) -> None:
        self._network = network
        self._detokenizer = detokenizer
        self._vocabulary = vocabulary

    def submit(self, request: Request) -> EventStream:
        """The request's events. Raises UsageError, ContextOverflow."""
        config = self._network.config
        check_request(request, config, config.context_tokens)
        return EventStream(self, Ticket(0, request, self._detokenizer))

    def outcome(self, ticket: Ticket, index: int) -> Outcome | None:
        """Outcome number `index`, or None after the last."""
        while len(ticket.outcomes) <= index:
            if ticket.outcomes and ticket.outcomes[-1].token is None:
                return None
            if ticket.started_s is None:
                ticket.started_s = time.perf_counter()
            tokens = [*ticket.request.prompt, *(one.token for one in ticket.outcomes if one.token is not None)]
            row, answer = last_logits(self._network, tokens), ticket.take_answer()
            (outcome,) = ticket.draw([row], (), answer, self._vocabulary, time.perf_counter)
            ticket.deliver(len(ticket.outcomes), outcome, answer)
        return ticket.outcomes[index]

    def discard(self, ticket: Ticket) -> None:
        """Nothing runs unless it is pulled, so there is nothing to stop."""
