"""The scheduler as a state machine: whatever order things happen in, nobody starves and nothing overflows.

`test_scheduler.py` runs whole lives at random; this one lets Hypothesis find and shorten a bad order of events.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gemwright.engine.scheduler import Job, State, admit, cancel, commit, plan, skip, submit


@dataclass
class Known:
    """What the test itself knows of a job."""

    prompt: int
    answer: int
    computed: int = 0


class Scheduling(RuleBasedStateMachine):
    @initialize(capacity=st.integers(8, 200), budget=st.integers(1, 20), most=st.none() | st.integers(1, 8))
    def begin(self, capacity: int, budget: int, most: int | None) -> None:
        self.budget, self.most = budget, most
        self.state = State(capacity, max_running=min(4, budget))
        self.jobs: dict[int, Known] = {}
        self.ids = 0

    @rule(data=st.data())
    def arrive(self, data: Any) -> None:
        prompt = data.draw(st.integers(1, self.state.capacity_tokens - 1))
        answer = data.draw(st.integers(1, self.state.capacity_tokens - prompt))
        self.state = submit(self.state, Job(self.ids, pending=prompt, reserved=prompt + answer))
        self.jobs[self.ids] = Known(prompt, answer)
        self.ids += 1

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def leave(self, data: Any) -> None:
        id = data.draw(st.sampled_from(sorted(self.jobs)))
        before = {job.id: job.reserved for job in self.state.running}
        free = self.state.free_tokens
        self.state = cancel(self.state, {id})
        assert self.state.free_tokens == free + before.get(id, 0)
        del self.jobs[id]

    @precondition(lambda self: self.state.running)
    @rule(data=st.data())
    def find_in_cache(self, data: Any) -> None:
        job = data.draw(st.sampled_from(self.state.running))
        known = self.jobs[job.id]
        if known.computed < known.prompt:
            known.computed = data.draw(st.integers(known.computed, known.prompt - 1))
            self.state = skip(self.state, job.id, known.computed)

    @rule(data=st.data())
    def step(self, data: Any) -> None:
        self.state = admit(self.state)
        drafts = {
            job.id: data.draw(st.integers(0, 6))
            for job in self.state.running
            if self.jobs[job.id].computed >= self.jobs[job.id].prompt
        }
        drafts = {
            id: min(count, self.jobs[id].prompt + self.jobs[id].answer - self.jobs[id].computed - 2)
            for id, count in drafts.items()
        }
        self.state, slices = plan(self.state, self.budget, drafts, self.most)
        assert sum(piece.count for piece in slices) <= self.budget
        assert bool(slices) == bool(self.jobs), "nothing runs though something is there"
        planned = {piece.id for piece in slices}
        prompts = [job for job in self.state.running if job.pending > 1]
        assert {job.id for job in self.state.running if job.pending == 1} <= planned, "an answer had to wait"
        assert {job.id for job in prompts[:1]} <= planned, "the oldest prompt had to wait"
        if self.most and len(prompts) < len(self.state.running):
            assert sum(piece.count for piece in slices if piece.id in {job.id for job in prompts}) <= self.most
        drawn, finished = {}, set()
        for piece in slices:
            known = self.jobs[piece.id]
            assert piece.start == known.computed
            assert piece.start + piece.count < known.prompt + known.answer, "beyond the reservation"
            drawn[piece.id] = data.draw(st.integers(1, piece.samples)) if piece.samples else 0
            known.computed += piece.count - piece.samples + drawn[piece.id]
            if piece.samples and known.computed - known.prompt + 1 >= known.answer:
                finished.add(piece.id)
        self.state = commit(self.state, slices, finished, drawn)
        for id in finished:
            del self.jobs[id]

    @invariant()
    def books_are_right(self) -> None:
        if not hasattr(self, "state"):
            return
        both = (*self.state.running, *self.state.waiting)
        assert [job.id for job in both] == sorted(self.jobs), "order of arrival, nobody lost or left"
        assert 0 <= self.state.free_tokens <= self.state.capacity_tokens
        assert len(self.state.running) <= self.state.max_running
        for job in self.state.running:
            known = self.jobs[job.id]
            assert job.computed == known.computed
            assert job.computed + job.pending == max(known.prompt, known.computed + 1)


Scheduling.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_any_order_of_events_keeps_every_promise = Scheduling.TestCase
