"""Programs are run and watched from outside."""

from __future__ import annotations

import sys

import pytest


def test_a_process_is_watched_to_its_first_output_and_its_end(module) -> None:
    holds, speaks, waits = "held = bytearray(64 << 20)", "print('x', flush=True)", "time.sleep(0.3)"
    program = f"import sys, time; {holds}; {speaks}; {waits}; sys.stderr.write('late')"
    started = module("processes").run_to_first_output([sys.executable, "-c", program])
    assert started.exit_s - started.first_output_s >= 0.25
    assert started.peak_rss_mib > 64
    assert started.stdout == b"x\n"
    assert started.stderr == "late"


@pytest.mark.parametrize("program", ["print('x'); raise SystemExit(3)", "pass"])
def test_a_watched_process_that_fails_or_says_nothing_is_a_failure(module, program: str) -> None:
    processes = module("processes")
    with pytest.raises(processes.Failed, match="ended with status"):
        processes.run_to_first_output([sys.executable, "-c", program])


def test_json_is_read_from_the_last_line(module) -> None:
    found = module("processes").last_json([sys.executable, "-c", "print('loading'); print('{\"a\": 1}')"])
    assert found == {"a": 1}


def test_json_may_take_many_lines(module) -> None:
    assert module("processes").last_json([sys.executable, "-c", "print('[\\n1,\\n2\\n]')"]) == [1, 2]


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import sys; sys.exit('no memory\\nfor that')", "ended with status 1: for that"),
        ("print('hello')", "printed no JSON: hello"),
        ("pass", "printed no JSON: it said nothing"),
    ],
)
def test_a_program_without_json_is_a_failure_that_says_why(module, program: str, reason: str) -> None:
    processes = module("processes")
    with pytest.raises(processes.Failed, match=reason):
        processes.last_json([sys.executable, "-c", program])


def test_a_program_that_is_not_there_is_a_failure(module) -> None:
    processes = module("processes")
    with pytest.raises(processes.Failed, match="cannot be started"):
        processes.last_json(["/nowhere/llama-bench"])
