"""What this machine can do at best with the threads and the target in use, measured in about a second."""

from __future__ import annotations

from gemwright import _native


def read_bytes_per_second() -> float:
    """Bytes a second that all threads together read from memory. Takes 256 MiB for each. Raises MemoryError."""
    return _native.read_bytes_per_second()


def multiplications_per_second() -> float:
    """int8 multiply-adds a second of all threads together, on data in the first-level cache, without scales."""
    return _native.multiplications_per_second()
