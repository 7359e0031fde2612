"""Text on its way to a terminal: what a model or a file says may be shown, but not obeyed.

A terminal acts on control characters: it moves the cursor, renames windows, fills the clipboard, hides text. Model
output and metadata of a file are foreign, so control characters appear there by their name. In a pipe or a file the
text goes out as it is.
"""

from __future__ import annotations

import sys
from typing import TextIO

from gemwright.errors import FileError

_CONTROLS = [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029]
_REORDERING = [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]
"""Overrides of writing direction: legible text needs none of them, and they make a line read as another."""

_ESCAPES = {
    code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    for code in _CONTROLS + _REORDERING
    if chr(code) not in "\n\t"
}


def printable(text: str) -> str:
    """`text` with each control character but newline and tab replaced by its escape, such as `\\x1b`."""
    return text.translate(_ESCAPES)


def say(text: str) -> None:
    """Prints `text` and a newline on standard output; raises as `send` does."""
    send(sys.stdout, text + "\n")


def send(stream: TextIO, text: str) -> None:
    """Writes `text` and flushes. Raises BrokenPipeError when the reader went away, FileError when it cannot."""
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise FileError(f"The output could not be written: {error.strerror}.") from error


class Answer:
    """Where streamed text goes: `write` shows a piece at once, made printable if people read it."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stdout if stream is None else stream
        self._for_people = self._stream.isatty()
        self._at_line_start = True

    def write(self, text: str) -> None:
        """Raises as `send` does."""
        if text:
            send(self._stream, printable(text) if self._for_people else text)
            self._at_line_start = text.endswith("\n")

    def end_line(self) -> None:
        """Finishes the line the answer ended in, if any."""
        if not self._at_line_start:
            self.write("\n")


def never_fail_on_characters() -> None:
    """A console of another encoding shows an escape for what it lacks instead of ending the answer with an error."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # absent where a test or an embedder replaced the stream
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
