"""One request inside the engine: what it asked for and everything that was answered so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gemwright.engine.degeneration import Guard
from gemwright.engine.request import Detokenizer, Drafter, Event, Finished, Follower, Network, Request, Token
from gemwright.engine.sampler import (
    Candidates,
    Choice,
    Penalties,
    Scores,
    candidates_needed,
    choose,
    choose_among,
    uniform_at,
)
from gemwright.errors import GemwrightError
from gemwright.messages import FinishReason
from gemwright.step import F32


@dataclass(frozen=True)
class View:
    """What a network made of a text, and where it keeps it: see `request.Follower`."""

    network: Network
    hidden: F32
    cache: Any
    slot: int


@dataclass(frozen=True)
class Outcome:
    """What one draw gave one request.

    token: the one to compute next; None if the request is over. drafted, accepted: guesses so far, in all.
    """

    token: int | None
    events: tuple[Event, ...]
    at_s: float
    drafted: int = 0
    accepted: int = 0
    error: GemwrightError | None = None


class Answer:
    """What the tokens so far amount to: text, penalties, and whether it still is an answer.

    Rebuilt from the tokens if a step was interrupted.
    """

    def __init__(self, request: Request, detokenizer: Detokenizer, tokens: Sequence[int]) -> None:
        self.tokens: list[int] = []
        self.detokenizer = detokenizer
        self.penalties = Penalties(request.sampling, request.prompt) if Penalties.needed(request.sampling) else None
        self.degenerate = False
        self._guard = Guard(request.reserved_ids) if request.sampling.guard else None
        for token in tokens:
            self.add(token)

    def add(self, token: int) -> str:
        """The text that became certain."""
        self.tokens.append(token)
        if self.penalties:
            self.penalties.record(token)
        if self._guard:
            self.degenerate = self._guard.degenerate(token)
        return self.detokenizer.feed(token)


class Ticket:
    """A request with its outcomes. Only the engine writes to it, under its lock."""

    def __init__(self, id: int, request: Request, detokenizer: Callable[[tuple[str, ...]], Detokenizer]) -> None:
        self.id = id
        self.request = request
        self.outcomes: list[Outcome] = []
        self.started_s: float | None = None
        self.cached_tokens = 0
        self._new_detokenizer = detokenizer
        self._answer: Answer | None = None
        self._drafter: Drafter | None = None

    def tokens(self, start: int, end: int) -> Sequence[int]:
        """Ids at the positions `start` to `end` of prompt and answer so far."""
        prompt = self.request.prompt
        if end <= len(prompt):
            return prompt[start:end]
        drawn = self.outcomes[max(start - len(prompt), 0) : end - len(prompt)]
        return (*prompt[start:], *(outcome.token for outcome in drawn if outcome.token is not None))

    def take_answer(self) -> Answer:
        """The answer so far, taken out: if the step is cut short it is not put back, and the next one rebuilds it."""
        answer, self._answer = self._answer, None
        if answer is None:
            tokens = [outcome.token for outcome in self.outcomes if outcome.token is not None]
            detokenizer = self._new_detokenizer((*self.request.stop, *self.request.sampling.stop))
            answer = Answer(self.request, detokenizer, tokens)
        return answer

    def propose(self, drawable: int, view: View | None = None) -> tuple[int, ...]:
        """Guesses of what follows the token drawn last, as far as room, ids and mask allow. For running answers only.

        Ends before the last token of the longest answer: nothing is drawn after that one. view: for a drafter that
        follows the network, if the state of the token before is at hand.
        """
        request, limit = self.request, self.request.max_tokens - len(self.outcomes) - 1
        if request.speculation is None or limit < 1:
            return ()
        if self._drafter is None:
            self._drafter = request.speculation.drafter(len(request.prompt) + request.max_tokens)
        if view is not None and isinstance(self._drafter, Follower):
            self._drafter.follow(view.network, view.hidden, view.cache, view.slot)
        answer = [outcome.token for outcome in self.outcomes if outcome.token is not None]
        guesses: list[int] = []
        for guess in self._drafter.propose([*request.prompt, *answer], limit):
            if not 0 <= guess < drawable or guess in request.suppressed_ids:
                break
            if request.mask is not None and not request.mask.allowed(answer)[guess]:
                break
            guesses.append(guess)
            answer.append(guess)
        return tuple(guesses)

    @property
    def candidates(self) -> int:
        """How many candidates a draw needs; 0 for the whole row."""
        whole = self.request.want_logprobs or self.request.mask is not None
        needed = 0 if whole else candidates_needed(self.request.sampling)
        return needed + len(self.request.suppressed_ids) if needed else 0  # so many may fall away

    def draw(
        self,
        scores: Sequence[Scores],
        draft: Sequence[int],
        answer: Answer,
        drawable: int,
        clock: Callable[[], float],
    ) -> list[Outcome]:
        """The next outcomes: one, and one more for each guess of `draft` that turns out to be right.

        scores: what the last token scores, then what each guess does. Of a whole row the first `drawable` ids may be
        drawn. Each draw is the one that token by token would be. Changes nothing but `answer`.
        """
        last = self.outcomes[-1] if self.outcomes else None
        outcomes: list[Outcome] = []
        for each, guess in zip(scores, (*draft, None), strict=True):
            so_far = Outcome(
                None,
                (),
                clock(),
                drafted=len(draft) + (last.drafted if last else 0),
                accepted=len(outcomes) + (last.accepted if last else 0),
            )
            try:
                choice = self._choose(each, answer, drawable, len(self.outcomes) + len(outcomes))
                outcomes.append(self._read(choice, answer, so_far, len(self.outcomes) + len(outcomes)))
            except GemwrightError as error:
                outcomes.append(replace(so_far, error=error))
            if outcomes[-1].token is None or outcomes[-1].token != guess:
                break
        return outcomes

    def deliver(self, index: int, outcome: Outcome, answer: Answer) -> None:
        """Outcome number `index` is final. Delivering it twice changes nothing."""
        if len(self.outcomes) == index:
            self.outcomes.append(outcome)
        self._answer = answer

    def cancelled(self, outcomes: int) -> Finished:
        """The end of an answer of which so many outcomes were seen before its stream was closed."""
        if outcomes:
            return self._finished("cancelled", "", outcomes, self.outcomes[outcomes - 1])
        return self._finished("cancelled", "", 0, Outcome(None, (), self.outcomes[0].at_s if self.outcomes else 0.0))

    def _choose(self, scores: Scores, answer: Answer, drawable: int, index: int) -> Choice:
        request, uniform = self.request, uniform_at(self.request.seed, index)
        if isinstance(scores, Candidates):
            return choose_among(scores.without(request.suppressed_ids), request.sampling, uniform)
        return choose(
            scores,
            request.sampling,
            uniform,
            drawable=drawable,
            penalties=answer.penalties,
            allowed=self._allowed(answer, len(scores)),
            want_logprob=request.want_logprobs,
        )

    def _allowed(self, answer: Answer, vocabulary: int) -> npt.NDArray[np.bool_] | None:
        """bool[V], or more, of the tokens that may be drawn; None for all."""
        request = self.request
        allowed = None if request.mask is None else request.mask.allowed(answer.tokens)
        if not request.suppressed_ids:
            return allowed
        allowed = np.ones(vocabulary, np.bool_) if allowed is None else allowed.copy()
        allowed[list(request.suppressed_ids)] = False
        return allowed

    def _read(self, choice: Choice, answer: Answer, so_far: Outcome, index: int) -> Outcome:
        """`so_far` with the choice as number `index` of the answer."""
        if choice.token in self.request.stop_ids:
            return replace(so_far, events=(self._finished("stop", answer.detokenizer.finish(), index, so_far),))
        token = Token(choice.token, answer.add(choice.token), choice.logprob)
        if answer.detokenizer.stopped:
            return replace(so_far, events=(token, self._finished("stop", "", index + 1, so_far)))
        if answer.degenerate or index + 1 == self.request.max_tokens:
            reason: FinishReason = "degenerate" if answer.degenerate else "length"
            rest = answer.detokenizer.finish()
            return replace(so_far, events=(token, self._finished(reason, rest, index + 1, so_far)))
        return replace(so_far, token=choice.token, events=(token,))

    def _finished(self, reason: FinishReason, text: str, answer_tokens: int, last: Outcome) -> Finished:
        first_s = self.outcomes[0].at_s if self.outcomes else last.at_s
        before = 0 < answer_tokens <= len(self.outcomes)  # its last token came in an earlier step than `last`
        last_s = self.outcomes[answer_tokens - 1].at_s if before else last.at_s
        return Finished(
            reason,
            text,
            prompt_tokens=len(self.request.prompt),
            answer_tokens=answer_tokens,
            prefill_s=first_s - (first_s if self.started_s is None else self.started_s),
            decode_s=last_s - first_s,
            cached_tokens=self.cached_tokens,
            drafted_tokens=last.drafted,
            accepted_tokens=last.accepted,
        )
