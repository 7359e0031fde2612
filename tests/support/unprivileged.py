"""Running as a user for whom file modes count, also when the tests run as root."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def read_only_directory() -> Iterator[Path]:
    """A directory that a process of `unprivileged` may read and enter but not write to."""
    base = Path(tempfile.mkdtemp())  # not below pytest's own: that one only its owner may enter
    try:
        base.chmod(0o755)
        (base / "cache").mkdir()
        (base / "cache").chmod(0o555)
        yield base / "cache"
    finally:
        (base / "cache").chmod(0o755)
        shutil.rmtree(base)


def unprivileged(action: Callable[[], str]) -> str:
    """What `action` returns in a forked process, which gives up root's rights first if it has them."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            os.write(writing, action().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return text
