"""The command line: `gemwright run`, `chat`, `bench`, `perplexity`, `models`, `inspect`.

    app.py       the program: which commands there are
    failure.py   how every error leaves: one sentence or JSON, and an exit status
    …            one file per command, imported when it is asked for, so that `run` starts fast

Commands parse, call the Python interface and print; nothing is computed here that Python users could not have.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the program named `gemwright` and exits with its status; never returns."""
    from gemwright.cli.app import run_program
    from gemwright.settings import spare_threads_of_blas

    spare_threads_of_blas()
    sys.exit(run_program(sys.argv[1:] if arguments is None else arguments))
