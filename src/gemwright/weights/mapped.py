"""A whole file as bytes in memory, without reading it."""

from __future__ import annotations

import mmap
import os
import stat
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gemwright.errors import FileError, ModelFormatError
from gemwright.weights.quoted import quoted

TRUNCATED = "The file is probably cut short: copy or download it again."


def map_file(path: Path) -> npt.NDArray[np.uint8]:
    """uint8[size], read-only and lazily paged in; the mapping lives as long as any view of it.

    The file must not be shortened while it is mapped: the system then ends the process on the next read.
    Raises FileError (missing, not a regular file, not readable) or ModelFormatError (empty).
    """
    size = regular_file_size(path)
    if size == 0:
        raise ModelFormatError(f"{path} is empty.", hint=TRUNCATED)
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # ValueError: the file became shorter than `size` just now
        raise FileError(f"{path} cannot be read: {_reason(error)}.") from error
    return np.frombuffer(mapped, np.uint8)


def release(view: npt.NDArray[np.uint8]) -> None:
    """Gives back the memory that reading `view`, a part of a mapped file, has taken. Reading it again is possible."""
    base: object = view
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview):
        base = base.obj
    if not isinstance(base, mmap.mmap) or not hasattr(mmap, "MADV_DONTNEED"):
        return  # not a mapped file, or a system that decides for itself
    start = _address(view) - _address(np.frombuffer(base, np.uint8))
    first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE  # whole pages only: the rest may be a neighbour's
    length = (start + view.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE - first
    if length > 0:
        base.madvise(mmap.MADV_DONTNEED, first, length)


def read_small_file(path: Path, limit_bytes: int) -> bytes:
    """The whole file, if it is at most `limit_bytes` long; errors as `map_file`."""
    size = regular_file_size(path)
    if size > limit_bytes:
        raise ModelFormatError(f"{path} has {size:,} bytes: such a file has at most {limit_bytes:,}.")
    try:
        with path.open("rb") as file:
            return file.read(limit_bytes)
    except OSError as error:
        raise FileError(f"{path} cannot be read: {_reason(error)}.") from error


def regular_file_size(path: Path) -> int:
    """Bytes in the file at `path`. Raises FileError if it is missing or is no regular file (a pipe would block)."""
    status = file_status(path)
    if not stat.S_ISREG(status.st_mode):
        raise FileError(f"{path} is not a file.")
    return status.st_size


def names_in(path: Path) -> list[str] | None:
    """Names of the entries of the directory `path`, sorted, or None if it is none. Raises FileError."""
    if not stat.S_ISDIR(file_status(path).st_mode):
        return None
    try:
        return sorted(os.listdir(path))
    except OSError as error:
        raise FileError(f"{path} cannot be read: {_reason(error)}.") from error


def file_status(path: Path) -> os.stat_result:
    """What the system knows of the file or directory at `path`. Raises FileError."""
    try:
        return path.stat()
    except FileNotFoundError as error:
        raise FileError(f"{path} does not exist.", hint="Check the spelling of the path.") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL or an unencodable character in the path
        raise FileError(f"{quoted(str(path))} cannot be opened: {_reason(error)}.") from error


def _address(array: npt.NDArray[np.uint8]) -> int:
    return int(array.__array_interface__["data"][0])


def _reason(error: OSError | ValueError) -> str:
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
