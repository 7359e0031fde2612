"""Runs a program and watches it from outside: when its first output came, when it ended, how much memory it held."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Started:
    """Times from process start; peak memory is the resident set, shared file pages included."""

    first_output_s: float
    exit_s: float
    peak_rss_mib: float
    stdout: bytes
    stderr: str


def run_to_first_output(command: list[str]) -> Started:
    """The run of `command`, its standard output in a pipe. Ends the benchmark if it fails or says nothing."""
    with tempfile.TemporaryFile() as errors:
        began = time.perf_counter()
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, bufsize=0)
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
        name = Path(command[0]).name
        raise SystemExit(
            f"{name} ended with status {child.returncode} and {len(output)} bytes of output:\n{said[-2000:]}"
        )
    return Started(first_s, exit_s, usage.ru_maxrss / 1024, output, said)
