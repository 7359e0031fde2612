"""The scheduler's promises, on hand-made states and on thousands of random runs."""

from __future__ import annotations

import ast
import random
import sys
from pathlib import Path

import pytest

from gemwright.engine import scheduler
from gemwright.engine.scheduler import Job, Slice, State, cancel, commit, plan, submit


def job(id: int, prompt: int, answer: int = 4) -> Job:
    return Job(id, pending=prompt, reserved=prompt + answer)


def with_jobs(*jobs: Job, capacity: int = 1000, max_running: int = 4) -> State:
    state = State(capacity, max_running)
    for one in jobs:
        state = submit(state, one)
    return state


def test_a_prompt_is_computed_in_chunks_and_samples_only_after_the_last() -> None:
    state = with_jobs(job(0, prompt=10))
    seen = []
    for _ in range(3):
        state, slices = plan(state, budget=4)
        seen += slices
        state = commit(state, slices, finished=())
    assert seen == [Slice(0, 0, 4, False), Slice(0, 4, 4, False), Slice(0, 8, 2, True)]
    assert plan(state, budget=4)[1] == (Slice(0, 10, 1, True),)


def test_a_long_prompt_does_not_stop_other_streams() -> None:
    state = with_jobs(job(0, prompt=1))
    state, slices = plan(state, budget=8)
    state = submit(commit(state, slices, finished=()), job(1, prompt=900))
    for step in range(1, 5):
        state, slices = plan(state, budget=8)
        assert slices == (Slice(0, step, 1, True), Slice(1, (step - 1) * 7, 7, False))
        state = commit(state, slices, finished=())


def test_guesses_ride_along_with_their_answer_and_leave_a_token_for_a_prompt() -> None:
    state = with_jobs(job(0, prompt=1, answer=20), job(1, prompt=1, answer=20))
    state, slices = plan(state, budget=8)
    state = submit(commit(state, slices, finished=()), job(2, prompt=30))
    state, slices = plan(state, budget=8, drafts={0: 3, 1: 9})
    assert slices == (Slice(0, 1, 4, 4), Slice(1, 1, 3, 3), Slice(2, 0, 1, 0))


def test_what_was_computed_after_a_wrong_guess_is_computed_again() -> None:
    state = with_jobs(job(0, prompt=5, answer=20))
    state, slices = plan(state, budget=8)
    state = commit(state, slices, finished=(), drawn={0: 1})
    for computed, drawn in [(5, 1), (6, 3), (9, 4)]:
        state, slices = plan(state, budget=8, drafts={0: 3})
        assert slices == (Slice(0, computed, 4, 4),)
        state = commit(state, slices, finished=(), drawn={0: drawn})
    assert plan(state, budget=8)[1] == (Slice(0, 13, 1, 1),)


def test_beside_an_answer_prompts_get_their_part_and_alone_the_whole_budget() -> None:
    state = with_jobs(job(0, prompt=1), job(1, prompt=30))
    state, slices = plan(state, budget=20, prompt_tokens=5)
    assert slices == (Slice(0, 0, 1, 1), Slice(1, 0, 5, 0))
    state = commit(state, slices, finished={0})
    assert plan(state, budget=20, prompt_tokens=5)[1] == (Slice(1, 5, 20, 0),)


def test_a_short_prompt_passes_a_long_one_that_still_gets_half() -> None:
    state = with_jobs(job(0, prompt=500), job(1, prompt=90), job(2, prompt=7))
    _, slices = plan(state, budget=40)
    assert slices == (Slice(0, 0, 20, 0), Slice(1, 0, 13, 0), Slice(2, 0, 7, 1))


def test_prompts_are_served_in_order_of_arrival() -> None:
    state = with_jobs(job(0, prompt=6), job(1, prompt=6), job(2, prompt=6))
    _, slices = plan(state, budget=8)
    assert [(piece.id, piece.count) for piece in slices] == [(0, 6), (1, 2)]


def test_a_job_starts_only_when_its_whole_answer_has_room() -> None:
    state = with_jobs(job(0, prompt=50, answer=40), job(1, prompt=5, answer=6), capacity=100)
    state, slices = plan(state, budget=64)
    assert [piece.id for piece in slices] == [0]
    state = commit(state, slices, finished={0})
    _, slices = plan(state, budget=64)
    assert [piece.id for piece in slices] == [1]


def test_nobody_overtakes_a_job_that_waits_for_room() -> None:
    state = with_jobs(job(0, prompt=60), job(1, prompt=90), job(2, prompt=2), capacity=100)
    state, _ = plan(state, budget=8)
    assert [one.id for one in state.running] == [0]
    assert [one.id for one in state.waiting] == [1, 2]


def test_no_more_jobs_run_than_allowed() -> None:
    state, _ = plan(with_jobs(*(job(i, 1) for i in range(9)), max_running=3), budget=8)
    assert len(state.running) == 3


def test_cancelling_frees_the_reservation_and_forgets_the_job_wherever_it_is() -> None:
    state, _ = plan(with_jobs(job(0, 60), job(1, 60), job(2, 30), capacity=100), budget=8)
    state = cancel(state, {0, 2, 77})
    assert state.free_tokens == 100
    assert [one.id for one in plan(state, budget=8)[0].running] == [1]


@pytest.mark.parametrize("impossible", [Job(0, pending=0, reserved=5), job(0, 99, 2), Job(0, pending=6, reserved=5)])
def test_a_job_that_could_never_run_is_refused(impossible: Job) -> None:
    with pytest.raises(ValueError, match="never run"):
        submit(State(capacity_tokens=100, max_running=2), impossible)


@pytest.mark.parametrize("max_running", [0, 9])
def test_a_limit_on_running_jobs_that_could_starve_one_is_refused(max_running: int) -> None:
    with pytest.raises(ValueError, match="max_running"):
        plan(State(capacity_tokens=100, max_running=max_running), budget=8)


@pytest.mark.parametrize("block", range(8))
def test_random_runs_keep_every_promise(block: int) -> None:
    for seed in range(block * 200, (block + 1) * 200):
        _random_run(random.Random(seed), f"seed {seed}")


def _random_run(rng: random.Random, name: str) -> None:
    """Jobs arrive, are cancelled, finish early or late; each promise is checked at every step."""
    capacity, budget = rng.randint(8, 300), rng.randint(1, 24)
    most = rng.choice([None, 1, 3, 8])
    state = State(capacity, max_running=rng.randint(1, budget))
    prompts: dict[int, int] = {}
    answers: dict[int, int] = {}
    computed: dict[int, int] = {}
    started: list[int] = []
    to_come = rng.randint(1, 12)
    for step in range(10_000):
        if to_come and rng.random() < 0.4:
            id, prompt = len(prompts), rng.randint(1, capacity - 1)
            prompts[id], answers[id], computed[id] = prompt, rng.randint(1, capacity - prompt), 0
            state, to_come = submit(state, job(id, prompt, answers[id])), to_come - 1
        if rng.random() < 0.03 and prompts:
            state = cancel(state, {rng.choice(list(prompts))})
        if not to_come and not state.waiting and not state.running:
            break
        waiting_before, state_before = state.waiting, state
        drafts = {
            one.id: rng.randint(0, prompts[one.id] + answers[one.id] - one.computed - 2)
            for one in state.running
            if one.computed >= prompts[one.id] and rng.random() < 0.7
        }
        state, slices = plan(state, budget, drafts, most)

        assert sum(piece.count for piece in slices) <= budget, name
        assert state.free_tokens >= 0, name
        assert len(state.running) <= state.max_running, name
        if state.running:
            assert slices, f"{name}: step {step} stands still"
        else:
            assert not state.waiting, f"{name}: nothing runs though jobs wait"
        new = [one.id for one in state.running if one.id not in {old.id for old in state_before.running}]
        assert new == [one.id for one in waiting_before[: len(new)]], f"{name}: overtaken"
        started += new
        decoding = {one.id for one in state.running if one.computed >= prompts[one.id]}
        assert decoding <= {piece.id for piece in slices}, f"{name}: an answer had to wait"
        prefilling = [one.id for one in state.running if one.pending > 1]
        chunks = {piece.id: piece.count for piece in slices if piece.id in prefilling}
        if prefilling:
            pending = {one.id: one.pending for one in state.running}
            oldest = chunks.get(prefilling[0], 0)
            assert oldest, f"{name}: the oldest prompt was starved"
            assert 2 * oldest >= sum(chunks.values()) or oldest == pending[prefilling[0]], f"{name}: less than half"
            left_out = [pending[id] for id in prefilling[1:] if id not in chunks]
            passed = [pending[id] for id in prefilling[1:] if id in chunks]
            assert max(passed, default=0) <= min(left_out, default=10**9), f"{name}: a longer prompt passed"
            if most and len(prefilling) < len(state.running):
                assert sum(chunks.values()) <= most, f"{name}: answers were kept waiting"

        finished = set()
        right = {}
        for piece in slices:
            assert piece.start == computed[piece.id], f"{name}: a token was skipped or computed twice"
            assert piece.start + piece.count < prompts[piece.id] + answers[piece.id], f"{name}: beyond the reservation"
            known = max(prompts[piece.id], piece.start + 1)
            guesses = max(piece.samples - 1, 0)
            assert guesses <= drafts.get(piece.id, 0), name
            assert bool(piece.samples) == (piece.start + piece.count - guesses == known), name
            right[piece.id] = rng.randint(1, piece.samples) if piece.samples else 0
            computed[piece.id] += piece.count - piece.samples + right[piece.id]
            drawn = computed[piece.id] - prompts[piece.id] + 1
            if piece.samples and (drawn == answers[piece.id] or rng.random() < 0.1):
                finished.add(piece.id)
        state = commit(state, slices, finished, right)
        assert not finished & {one.id for one in state.running}, name
    else:
        raise AssertionError(f"{name}: does not end")
    assert started == sorted(started), name


def test_the_scheduler_needs_nothing_but_the_standard_library() -> None:
    tree = ast.parse(Path(scheduler.__file__).read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {str(module).split(".")[0] for module in modules} <= sys.stdlib_module_names
