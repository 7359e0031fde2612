"""Running the native test program (native/tests) and reading what it says."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Outcome(NamedTuple):
    """What a run of the test program said."""

    status: int
    output: str

    @property
    def targets(self) -> list[str]:
        """The targets the CPU could run, scalar first."""
        return self._find(r"; targets: (.+)").split()

    @property
    def digest(self) -> str:
        """Of every result compared between targets."""
        return self._find(r"digest of all results: (\w+)")

    def _find(self, pattern: str) -> str:
        found = re.search(pattern, self.output)
        assert found is not None, self.output
        return found.group(1)


def run(command: Sequence[str | Path]) -> Outcome:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False
    )
    return Outcome(done.returncode, done.stdout)
