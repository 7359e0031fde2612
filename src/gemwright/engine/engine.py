"""The engine: draft → plan → forward → sample → commit → emit, for all requests together.

Every step is one forward pass over one flat batch: the pending token of every running answer, guesses of what follows
it (docs/concepts/speculation.md), and a piece of the prompts. A stream that is pulled runs steps until its own next
token is there; the others find theirs ready.
One lock guards it all; between two steps it is free.

Whatever cuts a step short (an exception of the network, Ctrl-C) leaves the books as they were before the step or as
they are after it, because they change in a single assignment. Slots of the cache, tickets and undelivered outcomes
follow the books and are set right when the engine is next touched, so nothing is lost and nothing leaks.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gemwright.cache import pages_for
from gemwright.engine import scheduler
from gemwright.engine.events import EventStream
from gemwright.engine.head import score_rows
from gemwright.engine.request import BoundSpeculation, Cache, Detokenizer, Network, Request
from gemwright.engine.sampler import Scores
from gemwright.engine.scheduler import Job, Slice, State
from gemwright.engine.ticket import Answer, Outcome, Ticket, View
from gemwright.engine.validate import check_request
from gemwright.ops import PAGE_TOKENS
from gemwright.step import F32, Step


@dataclass(frozen=True)
class _Drawn:
    """An outcome on its way to its ticket, of which it is number `index`."""

    ticket: Ticket
    index: int
    outcome: Outcome
    answer: Answer


@dataclass(frozen=True)
class _Books:
    """All the engine knows for certain. Replaced as a whole, never changed."""

    state: State
    undelivered: tuple[_Drawn, ...] = ()
    computed: tuple[tuple[int, int], ...] = ()
    """By job, the tokens from its beginning that the last step made final in the cache."""


class Engine:
    """Runs requests on one network.

    cache: of the network, with nothing open. Its free tokens, in whole pages, are what the engine reserves from.
    detokenizer: makes a new one for given stop strings. vocabulary: the ids it knows; a network may have more rows of
    logits, as padding, and those are never drawn.
    step_tokens: the most tokens of one forward pass. max_sequences: the most requests that run at once, at most that.
    prompt_tokens: the most tokens of prompts in a pass while an answer is running; None: no limit but step_tokens.
    max_guessing: nothing is guessed while more answers than that run, since they share the cost of a pass already.
    prefix_cache: whether requests take over what earlier ones have computed for the same beginning.
    """

    def __init__(
        self,
        network: Network,
        cache: Cache,
        detokenizer: Callable[[tuple[str, ...]], Detokenizer],
        *,
        vocabulary: int,
        step_tokens: int = 512,
        max_sequences: int = 16,
        prompt_tokens: int | None = None,
        max_guessing: int = 4,
        prefix_cache: bool = True,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._network = network
        self._cache = cache
        self._detokenizer = detokenizer
        self._vocabulary = vocabulary
        self._step_tokens = step_tokens
        self._prompt_tokens = prompt_tokens
        self._max_guessing = max_guessing
        self._prefix_cache = prefix_cache
        self._clock = clock
        capacity_tokens = cache.free_tokens() // PAGE_TOKENS * PAGE_TOKENS
        self._books = _Books(State(capacity_tokens=capacity_tokens, max_running=max_sequences))
        self._tickets: dict[int, Ticket] = {}
        self._slots: dict[int, int] = {}
        self._states: dict[int, tuple[int, F32]] = {}  # by job: how many tokens were drawn, the state of the one before
        self._ids = itertools.count()
        self._lock = threading.Lock()
        self._discarded: deque[int] = deque()

    @property
    def state(self) -> State:
        """What waits and what runs now, without what was discarded."""
        return scheduler.cancel(self._books.state, tuple(self._discarded))

    def submit(self, request: Request) -> EventStream:
        """The request's events; it runs when they, or those of any other request, are pulled.

        Raises UsageError for what cannot be, ContextOverflow for a prompt and answer that do not fit.
        """
        check_request(request, self._network.config, self.state.capacity_tokens)
        if isinstance(request.speculation, BoundSpeculation):
            request.speculation.check_network(self._network)
        reserved = pages_for(len(request.prompt) + request.max_tokens) * PAGE_TOKENS
        ticket = Ticket(next(self._ids), request, self._detokenizer)
        stream = EventStream(self, ticket)  # exists before the job does, so that somebody can always cancel it
        with self._lock:
            self._tidy()
            self._tickets[ticket.id] = ticket
            job = Job(ticket.id, pending=len(request.prompt), reserved=reserved)
            self._books = replace(self._books, state=scheduler.submit(self._books.state, job))
        return stream

    def step(self) -> bool:
        """Run one step. False if there was nothing to do."""
        with self._lock:
            self._tidy()
            return self._step()

    def outcome(self, ticket: Ticket, index: int) -> Outcome | None:
        """Outcome number `index` of the ticket, after as many steps as it takes. None if it was discarded."""
        while len(ticket.outcomes) <= index:
            with self._lock:
                self._tidy()
                if len(ticket.outcomes) > index:
                    break  # another stream's pull has made it meanwhile
                if ticket.id not in self._tickets:
                    return None
                advanced = self._step()
                assert advanced, f"request {ticket.id} is unfinished but nothing can be planned: {self.state}"
        return ticket.outcomes[index]

    def discard(self, ticket: Ticket) -> None:
        """Cancel the ticket's request if it is not over; its room is free when the engine is next asked for anything.

        Takes no lock: it may be called from any thread and from a finaliser in the middle of a step.
        """
        self._discarded.append(ticket.id)

    def _step(self) -> bool:
        drafts = self._draft()
        slices = self._plan({id: len(draft) for id, draft in drafts.items()})
        hidden = self._forward(slices, drafts)
        drawn = self._sample(slices, self._score(slices, hidden), drafts)
        self._commit(slices, drawn)
        self._remember(slices, hidden, drawn)
        self._emit()
        return bool(slices)

    def _draft(self) -> dict[int, tuple[int, ...]]:
        """Guesses for every running answer, by job."""
        answers = [job.id for job in self._books.state.running if self._tickets[job.id].outcomes]
        if len(answers) > self._max_guessing:
            return {}
        return {id: self._tickets[id].propose(self._vocabulary, self._view(id)) for id in answers}

    def _view(self, id: int) -> View | None:
        """What a drafter may see of the job's text; nothing if a step was cut short since."""
        drawn, hidden = self._states.get(id, (0, None))
        if hidden is None or drawn != len(self._tickets[id].outcomes):
            return None
        return View(self._network, hidden, self._cache, self._slots[id])

    def _plan(self, drafts: Mapping[int, int]) -> tuple[Slice, ...]:
        self._books = replace(self._books, state=scheduler.admit(self._books.state))
        self._match()
        if self._prefix_cache:
            self._reuse()
        _, slices = scheduler.plan(self._books.state, self._step_tokens, drafts, self._prompt_tokens)
        return slices

    def _reuse(self) -> None:
        """Skip what is known of the prompts by now; another request may be computing the same one."""
        for job in self._books.state.running:
            ticket, slot = self._tickets[job.id], self._slots[job.id]
            if job.pending > 1 and not ticket.outcomes:
                found = self._cache.reuse(slot, ticket.request.prompt)
                if found > job.computed:
                    self._books = replace(self._books, state=scheduler.skip(self._books.state, job.id, found))
        for job in self._books.state.running:
            self._tickets[job.id].cached_tokens = job.reused

    def _forward(self, slices: Sequence[Slice], drafts: Mapping[int, Sequence[int]]) -> F32:
        """The hidden state of each token that samples."""
        if not slices:
            return np.empty((0, 0), np.float32)
        rows: list[int] = []
        end = 0
        for piece in slices:
            end += piece.count
            rows += range(end - piece.samples, end)
        return self._network.forward(self._gather(slices, drafts), self._cache, rows)

    def _score(self, slices: Sequence[Slice], hidden: F32) -> list[Scores]:
        """The scores after each token that samples."""
        counts = [self._tickets[piece.id].candidates for piece in slices for _ in range(piece.samples)]
        return score_rows(self._network, hidden, counts, self._vocabulary)

    def _remember(self, slices: Sequence[Slice], hidden: F32, drawn: tuple[_Drawn, ...]) -> None:
        """The state the newest token was drawn from, if somebody guesses. Cut short, it is missing: see `_view`."""
        counts = Counter(one.ticket.id for one in drawn)
        end = 0
        for piece in slices:
            ticket = self._tickets[piece.id]
            if piece.samples and ticket.request.speculation is not None:
                row, count = end + counts[piece.id] - 1, len(ticket.outcomes) + counts[piece.id]
                self._states[piece.id] = count, hidden[row : row + 1].copy()
            end += piece.samples

    def _gather(self, slices: Sequence[Slice], drafts: Mapping[int, Sequence[int]]) -> Step:
        tokens: list[int] = []
        positions: list[int] = []
        slots: list[int] = []
        for piece in slices:
            ticket, slot = self._tickets[piece.id], self._slots[piece.id]
            if ticket.started_s is None:
                ticket.started_s = self._clock()
            self._cache.prepare(slot, piece.start, piece.count)
            guesses = max(piece.samples - 1, 0)
            tokens += ticket.tokens(piece.start, piece.start + piece.count - guesses)
            tokens += drafts[piece.id][:guesses] if guesses else ()
            positions += range(piece.start, piece.start + piece.count)
            slots += [slot] * piece.count
        return Step(np.array(tokens, np.int32), np.array(positions, np.int32), np.array(slots, np.int32))

    def _sample(
        self, slices: Sequence[Slice], scores: Sequence[Scores], drafts: Mapping[int, Sequence[int]]
    ) -> tuple[_Drawn, ...]:
        drawn: list[_Drawn] = []
        left = iter(scores)
        for piece in slices:
            if piece.samples:
                ticket, own = self._tickets[piece.id], list(itertools.islice(left, piece.samples))
                drawn += self._draw(ticket, own, drafts.get(piece.id, ())[: piece.samples - 1])
        return tuple(drawn)

    def _draw(self, ticket: Ticket, scores: Sequence[Scores], draft: Sequence[int]) -> list[_Drawn]:
        answer = ticket.take_answer()
        outcomes = ticket.draw(scores, draft, answer, self._vocabulary, self._clock)
        return [_Drawn(ticket, index, outcome, answer) for index, outcome in enumerate(outcomes, len(ticket.outcomes))]

    def _commit(self, slices: Sequence[Slice], drawn: tuple[_Drawn, ...]) -> None:
        finished = {one.ticket.id for one in drawn if one.outcome.token is None}
        counts = Counter(one.ticket.id for one in drawn)
        computed = tuple((piece.id, piece.start + piece.count - piece.samples + counts[piece.id]) for piece in slices)
        self._books = _Books(scheduler.commit(self._books.state, slices, finished, counts), drawn, computed)

    def _emit(self) -> None:
        for one in self._books.undelivered:
            one.ticket.deliver(one.index, one.outcome, one.answer)
        for id, count in self._books.computed if self._prefix_cache else ():
            self._keep(id, count)
        self._books = replace(self._books, undelivered=(), computed=())
        self._match()

    def _keep(self, id: int, computed: int) -> None:
        """Let others share what the job has computed. Done again after an interruption, it finds nothing to do."""
        slot = self._slots[id]
        known = self._cache.known_tokens(slot)
        if computed >= known + PAGE_TOKENS:
            self._cache.keep(slot, self._tickets[id].tokens(known, computed))

    def _match(self) -> None:
        """Tickets and slots for exactly the jobs in the books. Cut short, it is simply done again."""
        running = {job.id: job for job in self._books.state.running}
        for id in [id for id in self._slots if id not in running]:
            self._cache.close(self._slots.pop(id))
        for id in self._tickets.keys() - running.keys() - {job.id for job in self._books.state.waiting}:
            del self._tickets[id]
        for id in self._states.keys() - running.keys():
            del self._states[id]
        for id in [id for id in running if id not in self._slots]:
            self._slots[id] = self._cache.reserve(running[id].reserved, self._tickets[id].request.cache_salt)

    def _tidy(self) -> None:
        """Finish what a cut-short step left undone, and drop what was discarded."""
        while self._discarded:
            self._books = replace(self._books, state=scheduler.cancel(self._books.state, (self._discarded[0],)))
            self._discarded.popleft()
        self._emit()
