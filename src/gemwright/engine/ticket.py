"""One request inside the engine: what it asked for and everything that was answered so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gemwright.engine.request import Detokenizer, Event, Finished, Request, Token
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


@dataclass(frozen=True)
class Outcome:
    """What one step gave one request. token: the one to compute next; None if the request is over."""

    token: int | None
    events: tuple[Event, ...]
    at_s: float
    error: GemwrightError | None = None


class Answer:
    """What the tokens so far amount to: text and penalties. Rebuilt from the tokens if a step was interrupted."""

    def __init__(self, request: Request, detokenizer: Detokenizer, tokens: Sequence[int]) -> None:
        self.detokenizer = detokenizer
        self.penalties = Penalties(request.sampling, request.prompt) if Penalties.needed(request.sampling) else None
        for token in tokens:
            self.add(token)

    def add(self, token: int) -> str:
        """The text that became certain."""
        if self.penalties:
            self.penalties.record(token)
        return self.detokenizer.feed(token)


class Ticket:
    """A request with its outcomes. Only the engine writes to it, under its lock."""

    def __init__(self, id: int, request: Request, detokenizer: Callable[[tuple[str, ...]], Detokenizer]) -> None:
        self.id = id
        self.request = request
        self.outcomes: list[Outcome] = []
        self.started_s: float | None = None
        self._new_detokenizer = detokenizer
        self._answer: Answer | None = None

    def tokens(self, start: int, count: int) -> Sequence[int]:
        """Ids at the positions `start` to `start + count`: of the prompt, or the one drawn last."""
        prompt = self.request.prompt
        if start < len(prompt):
            return prompt[start : start + count]
        token = self.outcomes[start - len(prompt)].token
        assert token is not None
        assert count == 1
        return (token,)

    def take_answer(self) -> Answer:
        """The answer so far, taken out: if the step is cut short it is not put back, and the next one rebuilds it."""
        answer, self._answer = self._answer, None
        if answer is None:
            tokens = [outcome.token for outcome in self.outcomes if outcome.token is not None]
            detokenizer = self._new_detokenizer((*self.request.stop, *self.request.sampling.stop))
            answer = Answer(self.request, detokenizer, tokens)
        return answer

    @property
    def candidates(self) -> int:
        """How many candidates the next draw needs; 0 for the whole row."""
        return 0 if self.request.want_logprobs else candidates_needed(self.request.sampling)

    def draw(self, scores: Scores, answer: Answer, drawable: int, clock: Callable[[], float]) -> Outcome:
        """The next outcome, from what the last token scores. Of a whole row the first `drawable` ids may be drawn.

        Changes nothing but `answer`.
        """
        try:
            choice = self._choose(scores, answer, drawable)
        except GemwrightError as error:
            return Outcome(None, (), clock(), error)
        return self._read(choice, answer, clock())

    def deliver(self, index: int, outcome: Outcome, answer: Answer) -> None:
        """Outcome number `index` is final. Delivering it twice changes nothing."""
        if len(self.outcomes) == index:
            self.outcomes.append(outcome)
        self._answer = answer

    def cancelled(self, outcomes: int) -> Finished:
        """The end of an answer of which so many outcomes were seen before its stream was closed."""
        now_s = self.outcomes[0].at_s if self.outcomes else 0.0
        last_s = self.outcomes[outcomes - 1].at_s if outcomes else now_s
        return self._finished("cancelled", "", outcomes, now_s, last_s)

    def _choose(self, scores: Scores, answer: Answer, drawable: int) -> Choice:
        request, uniform = self.request, uniform_at(self.request.seed, len(self.outcomes))
        if isinstance(scores, Candidates):
            return choose_among(scores, request.sampling, uniform)
        return choose(
            scores,
            request.sampling,
            uniform,
            drawable=drawable,
            penalties=answer.penalties,
            want_logprob=request.want_logprobs,
        )

    def _read(self, choice: Choice, answer: Answer, now_s: float) -> Outcome:
        index = len(self.outcomes)
        if choice.token in self.request.stop_ids:
            last_s = self.outcomes[-1].at_s if self.outcomes else now_s
            return Outcome(None, (self._finished("stop", answer.detokenizer.finish(), index, now_s, last_s),), now_s)
        token = Token(choice.token, answer.add(choice.token), choice.logprob)
        if answer.detokenizer.stopped:
            return Outcome(None, (token, self._finished("stop", "", index + 1, now_s, now_s)), now_s)
        if index + 1 == self.request.max_tokens:
            rest = answer.detokenizer.finish()
            return Outcome(None, (token, self._finished("length", rest, index + 1, now_s, now_s)), now_s)
        return Outcome(choice.token, (token,), now_s)

    def _finished(self, reason: FinishReason, text: str, answer_tokens: int, now_s: float, last_s: float) -> Finished:
        first_s = self.outcomes[0].at_s if self.outcomes else now_s
        started_s = first_s if self.started_s is None else self.started_s
        prompt_tokens = len(self.request.prompt)
        return Finished(reason, text, prompt_tokens, answer_tokens, first_s - started_s, last_s - first_s)
