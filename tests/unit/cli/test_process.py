"""The program as a process of its own: pipes, full disks, signals, a real model."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = [sys.executable, "-m", "gemwright"]


def _run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]


def test_a_reader_that_leaves_early_is_not_an_error_to_read_about() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        done = subprocess.run([*PROGRAM, "--help"], stdout=pipe, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_sentence_and_status_3() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*PROGRAM, "models"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr == "gemwright: The output could not be written: No space left on device.\n"


def test_the_module_and_the_program_are_the_same() -> None:
    assert _run("--version").stdout.startswith("gemwright ")


@pytest.mark.real
def test_a_real_model_continues_a_sentence_sensibly_and_repeatably() -> None:
    options = ["1, 2, 3, 4, 5, 6,", "-n", "6", "--temperature", "0", "--json"]
    first, second = (json.loads(_run("run", *options, "--threads", threads).stdout) for threads in ("1", "2"))
    assert first["text"].startswith(" 7, 8")
    assert first["tokens"] == second["tokens"]
    assert first["decode_tokens_per_s"] > 0


@pytest.mark.real
def test_ctrl_c_in_a_terminal_stops_the_answer_and_chat_goes_on() -> None:
    chat = _Terminal([*PROGRAM, "chat", "--max-tokens", "4000", "--temperature", "0"])
    try:
        chat.wait_for("base model", 60)
        chat.wait_for(">", 20)
        chat.type("1, 2, 3, 4, 5, 6, 7, 8,\r")  # which it continues without end
        chat.wait_for(" 11, 12", 60)
        chat.type("\x03")
        chat.wait_for("stopped", 20)
        chat.wait_for(">", 20)
        chat.type("/reset\r")
        chat.wait_for("forgotten", 20)
        chat.wait_for(">", 20)
        chat.type("\x04")
        assert chat.end(20) == 0
    finally:
        chat.kill()


class _Terminal:
    """A program in a pseudo-terminal, as a person would use it."""

    def __init__(self, command: list[str]) -> None:
        self._child, self._fd = pty.fork()
        if self._child == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # tests run in the background inherit that it is ignored
            os.environ |= {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
            os.execv(command[0], command)
        self._seen = b""
        self._ended: int | None = None

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def wait_for(self, text: str, seconds: float) -> None:
        """Reads until `text` appears after what earlier waits saw."""
        end = time.monotonic() + seconds
        while text.encode() not in self._seen:
            assert time.monotonic() < end, f"{text!r} did not appear in: {self._seen[-2000:]!r}"
            self._read()
        self._seen = self._seen.partition(text.encode())[2]

    def end(self, seconds: float) -> int:
        """Exit status; reads what is left."""
        end = time.monotonic() + seconds
        while self._ended is None:
            assert time.monotonic() < end, f"it did not end; last: {self._seen[-2000:]!r}"
            self._read()
            pid, status = os.waitpid(self._child, os.WNOHANG)
            if pid:
                self._ended = os.waitstatus_to_exitcode(status)
        return self._ended

    def kill(self) -> None:
        if self._ended is None:
            os.kill(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)
        os.close(self._fd)

    def _read(self) -> None:
        if select.select([self._fd], [], [], 0.2)[0]:
            try:
                self._seen += os.read(self._fd, 65536)
            except OSError:  # the program closed its side
                time.sleep(0.05)
