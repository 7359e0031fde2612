"""Runs programs: for what they print, or watched from outside (first output, end, memory held)."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT_S = 900


class Failed(Exception):  # noqa: N818 -- a result like any other: it is shown in the table
    """There is no figure; the message says why."""


@dataclass(frozen=True)
class Started:
    """Times from process start; peak memory is the resident set, shared file pages included."""

    first_output_s: float
    exit_s: float
    peak_rss_mib: float
    stdout: bytes
    stderr: str


def run_to_first_output(command: list[str], env: Mapping[str, str] | None = None) -> Started:
    """The run of `command`, its standard output in a pipe. Raises Failed if it fails or says nothing."""
    with tempfile.TemporaryFile() as errors:
        began = time.perf_counter()
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, bufsize=0, env=env
        )
        assert child.stdout is not None
        output = child.stdout.read(1)
        first_s = time.perf_counter() - began
        while piece := child.stdout.read(1 << 16):
            output += piece
        child.stdout.close()
        _, status, usage = os.wait4(child.pid, 0)
        exit_s = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        said = errors.read().decode("utf-8", "replace")
    if child.returncode != 0 or not output:
        said_last = last_words(said)
        name = Path(command[0]).name
        raise Failed(f"{name} ended with status {child.returncode} and {len(output)} bytes of output: {said_last}")
    return Started(first_s, exit_s, usage.ru_maxrss / 1024, output, said)


def last_json(command: list[str], env: Mapping[str, str] | None = None) -> Any:
    """What a program printed as the last line of JSON on its standard output. Raises Failed."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=TIMEOUT_S, env=env
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{Path(command[0]).name} took more than {TIMEOUT_S} s") from error
    except OSError as error:
        raise Failed(f"{command[0]} cannot be started: {error.strerror}") from error
    if done.returncode != 0:
        raise Failed(f"{Path(command[0]).name} ended with status {done.returncode}: {last_words(done.stderr)}")
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        lines = done.stdout.strip().splitlines() or [""]
    try:
        return json.loads(lines[-1])
    except json.JSONDecodeError as error:
        raise Failed(f"{Path(command[0]).name} printed no JSON: {last_words(done.stdout)}") from error


def last_words(text: str) -> str:
    """The last line a program wrote, short enough for a table's foot."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it said nothing"
