"""Files that are there whole or not at all, written by one process at a time.

A file is written beside its place, synced and renamed into it. What a killed process leaves is NAME.partial, which the
next writer replaces, and its lock, which the system drops.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Numbers of an OSError that mean a full disk, or a limit that works like one."""


@contextmanager
def replacing(target: Path, size: int) -> Iterator[int]:
    """A descriptor of a new file with room for `size` bytes, which becomes `target` when the block ends well.

    The caller holds the lock that belongs to `target`. Raises OSError, and then leaves nothing behind.
    """
    partial = beside(target, ".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(descriptor, 0, size)  # a disk that is too small says so before it is filled
            yield descriptor
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        partial.replace(target)
        _sync_directory(target.parent)
    finally:
        partial.unlink(missing_ok=True)


def write_all(descriptor: int, block: bytes | memoryview) -> None:
    """Writes the whole block. Raises OSError."""
    view = memoryview(block)
    while view:
        view = view[os.write(descriptor, view) :]


@contextmanager
def locked(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Holds the lock file `path` for the block; `on_wait` is called if another process has it now. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def beside(path: Path, suffix: str) -> Path:
    """The path with `suffix` after its name."""
    return path.with_name(path.name + suffix)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        with suppress(OSError):  # not every file system can; at worst a power cut takes the name back
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
