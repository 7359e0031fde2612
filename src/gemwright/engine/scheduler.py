"""Which tokens run next: arithmetic over plain values, state in and state out, nothing but the standard library.

A request is only "tokens not yet computed": a new prompt has hundreds, a running answer has one. So there is no
prefill phase and no decode phase, and a long prompt is simply taken in several steps.

  Reserved   a job starts when cache for its prompt and its whole answer is free: nothing is ever evicted or recomputed.
  In order   jobs start in order of arrival and never overtake, so each one's turn comes.
  Decode first   every running answer gets its token in every step, then guesses of what follows it are checked; what
             is left of the budget goes to prompts. `max_running` may not exceed the budget, so neither an answer nor
             the oldest prompt (there is always at least one token left for it) can starve.
  Never stalled   beside running answers, prompts get at most `prompt_tokens` of a step, so that the next token of an
             answer is never far.
  Short ones pass   the oldest prompt gets at least half of what prompts get, the shortest ones the rest: a question
             does not wait for a book, and the book is read all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Job:
    """A request as the scheduler sees it. All counts are tokens."""

    id: int
    pending: int
    """Known but not computed: what is left of the prompt, or 1 for the token drawn last."""
    reserved: int
    """Cache it may ever use: prompt and longest answer."""
    computed: int = 0
    """Already in the cache; the position of the first pending token."""
    reused: int = 0
    """Of these, the ones that were found there."""


@dataclass(frozen=True)
class State:
    """All jobs that are not finished, each queue in order of arrival."""

    capacity_tokens: int
    max_running: int
    waiting: tuple[Job, ...] = ()
    running: tuple[Job, ...] = ()

    @property
    def free_tokens(self) -> int:
        """Cache not reserved by a running job."""
        return self.capacity_tokens - sum(job.reserved for job in self.running)


@dataclass(frozen=True)
class Slice:
    """Tokens `start` to `start + count` of one job, computed in this step."""

    id: int
    start: int
    count: int
    samples: int
    """So many of its last tokens choose the one after them: none while more is pending, else one and the guesses."""


def submit(state: State, job: Job) -> State:
    """The job at the end of the queue. ValueError if it could never start."""
    if job.pending < 1 or not job.pending <= job.reserved <= state.capacity_tokens:
        raise ValueError(f"{job} can never run with a capacity of {state.capacity_tokens} tokens.")
    return replace(state, waiting=(*state.waiting, job))


def cancel(state: State, ids: Collection[int]) -> State:
    """Without these jobs, wherever they are; what they reserved is free. Unknown ids are ignored."""
    return replace(state, waiting=_without(state.waiting, ids), running=_without(state.running, ids))


def admit(state: State) -> State:
    """The state with every job started that has room, in order of arrival."""
    free, started = state.free_tokens, 0
    for job in state.waiting[: max(0, state.max_running - len(state.running))]:
        if job.reserved > free:
            break
        free -= job.reserved
        started += 1
    return replace(state, running=state.running + state.waiting[:started], waiting=state.waiting[started:])


def plan(
    state: State, budget: int, drafts: Mapping[int, int] | None = None, prompt_tokens: int | None = None
) -> tuple[State, tuple[Slice, ...]]:
    """The state with every job started that has room, and what to compute now: at most `budget` tokens.

    drafts: for jobs with one pending token, how many guesses may follow it; fewer are taken when the budget is short.
    prompt_tokens: the most that prompts get, at least 1, while an answer is running; None limits nothing.
    """
    if not 1 <= state.max_running <= budget:
        raise ValueError(f"max_running is {state.max_running}: it must be from 1 to the budget of {budget} tokens.")
    state = admit(state)
    answers = [job for job in state.running if job.pending == 1]
    prompts = [job for job in state.running if job.pending > 1]
    left = budget - len(answers)
    guesses = _share(left - bool(prompts), [(drafts or {}).get(job.id, 0) for job in answers])
    left -= sum(guesses)
    chunks = _chunks(prompts, min(left, prompt_tokens) if answers and prompt_tokens else left)
    return state, (
        *(Slice(job.id, job.computed, 1 + more, samples=1 + more) for job, more in zip(answers, guesses, strict=True)),
        *(
            Slice(job.id, job.computed, chunks[job.id], samples=int(chunks[job.id] == job.pending))
            for job in prompts
            if chunks[job.id]
        ),
    )


def skip(state: State, id: int, computed: int) -> State:
    """The state when so many tokens of a job were found in the cache; at least one more must be pending."""
    return replace(
        state, running=tuple(_skip(job, computed - job.computed) if job.id == id else job for job in state.running)
    )


def commit(
    state: State, slices: Sequence[Slice], finished: Collection[int], drawn: Mapping[int, int] | None = None
) -> State:
    """The state after `slices` were computed: finished jobs are gone, others that sampled have a new token pending.

    drawn: how many tokens were drawn for a job. Fewer than its slice samples means that guesses were wrong: those
    computed after the last right one are computed again.
    """
    done = {piece.id: piece.count - piece.samples + (drawn or {}).get(piece.id, piece.samples) for piece in slices}
    running = tuple(_advance(job, done[job.id]) if job.id in done else job for job in state.running)
    return replace(state, running=_without(running, finished))


def _share(budget: int, wanted: Sequence[int]) -> list[int]:
    """What each gets of the budget, in order."""
    shares = []
    for each in wanted:
        shares.append(min(each, budget))
        budget -= shares[-1]
    return shares


def _chunks(prompts: Sequence[Job], budget: int) -> dict[int, int]:
    """How much of each prompt to compute, by job: half of the budget for the oldest, the rest from the shortest on."""
    chunks = {job.id: 0 for job in prompts}
    if prompts:
        oldest = prompts[0]
        chunks[oldest.id] = min(oldest.pending, (budget + 1) // 2)
        budget -= chunks[oldest.id]
        by_length = sorted(prompts, key=lambda job: job.pending - chunks[job.id])  # stable: of equal ones the oldest
        for job, more in zip(by_length, _share(budget, [j.pending - chunks[j.id] for j in by_length]), strict=True):
            chunks[job.id] += more
    return chunks


def _skip(job: Job, count: int) -> Job:
    if not 0 <= count < job.pending:
        raise ValueError(f"{count} tokens of {job} cannot be skipped.")
    return replace(job, computed=job.computed + count, pending=job.pending - count, reused=job.reused + count)


def _advance(job: Job, count: int) -> Job:
    return replace(job, computed=job.computed + count, pending=max(job.pending - count, 1))


def _without(jobs: tuple[Job, ...], ids: Collection[int]) -> tuple[Job, ...]:
    return tuple(job for job in jobs if job.id not in ids)
