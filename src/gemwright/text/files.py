"""Reading a file of bounded size whole."""

from __future__ import annotations

from pathlib import Path

from gemwright.errors import FileError, ModelFormatError


def read_bounded(path: Path, limit_bytes: int) -> bytes:
    """The bytes of `path`, at most `limit_bytes`. Raises FileError (missing, unreadable) or ModelFormatError."""
    if not path.is_file():
        raise FileError(f"{path} is missing or not a file.")
    try:
        with path.open("rb") as file:
            data = file.read(limit_bytes + 1)
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}.") from error
    if len(data) > limit_bytes:
        raise ModelFormatError(f"{path} is longer than {limit_bytes:,} bytes, more than any such file needs.")
    return data
