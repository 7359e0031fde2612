"""How an error leaves the program: one sentence for people or JSON for programs, and an exit status for shells.

Errors we foresee are GemwrightError. Anything else is a defect of ours and keeps its
traceback, because a defect that hides cannot be reported.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable

from gemwright.cli.terminal import never_fail_on_characters, printable, send
from gemwright.errors import GemwrightError

INTERRUPTED = 130
PIPE_CLOSED = 141


def guarded(action: Callable[[], object], *, as_json: bool) -> int:
    """Exit status of `action`: 0, or that of the error it raised, which is then printed."""
    never_fail_on_characters()
    try:
        action()
        send(sys.stdout, "")
    except SystemExit:  # how argparse leaves once it has shown a help
        return 0
    except GemwrightError as error:
        return _show(error, as_json)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return PIPE_CLOSED
    return 0


def describe(error: GemwrightError) -> dict[str, str]:
    """What `--json` prints about an error."""
    return {"code": error.code, "message": Exception.__str__(error), "hint": error.hint}


def _show(error: GemwrightError, as_json: bool) -> int:
    if as_json:
        sys.stdout.write(json.dumps({"error": describe(error)}, ensure_ascii=True) + "\n")
    else:
        print(f"gemwright: {printable(str(error))}", file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:  # the output itself is what failed; Python must not complain a second time while leaving
        _forget_stdout()
    return error.exit_status


def _forget_stdout() -> None:
    """Points standard output at nothing, so that Python's own flush at exit has nothing left to fail at."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
