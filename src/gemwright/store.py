"""Packed models kept on disk, so that a start maps a file instead of packing.

NAME-PLACE-KEY.packed   one model: PLACE stands for where its source lies and how it is packed, KEY for all that decides
                        the content; so a new version replaces an old one, and other choices are kept beside it
lock                    held by the one process that writes or deletes here
….packed.partial        being written; one that is found under the lock was left by a killed process and is deleted

A file is a page with a magic word, the key and a checksum, then the sections, each on a whole page. It says nothing of
sizes or places: the reader knows them from the model, so nothing in the file needs to be believed, and every byte is
compared with the checksum at every start (docs/decisions/packed-files.md).
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gemwright import ops
from gemwright.atomic import NO_ROOM, locked, replacing, write_all
from gemwright.errors import FileError

Bytes = npt.NDArray[np.uint8]

PAGE = 4096
SMALLEST_BYTES = 32 << 20
"""Smaller models are not kept: packing them takes less time than anybody notices."""

_MAGIC = b"gemwright packed 1\n"
_ENDING = ".packed"


@dataclass(frozen=True)
class Wanted:
    """What a file must hold.

    source: the model's own file or directory. choices: how it is packed, in any words.
    key: 32 bytes that stand for all that decides the content. sizes: bytes of each section.
    """

    source: Path
    choices: str
    key: bytes
    sizes: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Of the whole file."""
        return PAGE + sum(_whole_pages(size) for size in self.sizes)


@dataclass(frozen=True)
class Kept:
    """A packed file on disk. used_ns: when a model was last started from it."""

    path: Path
    bytes: int
    used_ns: int


@dataclass(frozen=True)
class Store:
    """The packed files in `directory`, at most `limit_bytes` together; 0 keeps none.

    `announce` is told what the user should know: that a model is being packed, or why it cannot be kept.
    """

    directory: Path
    limit_bytes: int
    announce: Callable[[str], None]
    smallest_bytes: int = SMALLEST_BYTES

    def sections(self, wanted: Wanted, make: Callable[[], Iterable[Bytes]]) -> list[Bytes] | None:
        """The sections, read-only, from the file that keeps them; `make` gives them in turn if there is none yet.

        None if they cannot or need not be kept: the caller then does without. Any number of processes may ask at once;
        one of them writes, the others wait and are told so.
        """
        if self.limit_bytes == 0 or wanted.bytes < self.smallest_bytes:
            return None
        path = self.directory / _name(wanted)
        try:
            found = _read(path, wanted) or self._write(path, wanted, make)
        except OSError as error:
            problem = "there is no room" if error.errno in NO_ROOM else error.strerror
            self.announce(f"Packing {wanted.source.name} at every start: {self.directory} cannot keep it ({problem}).")
            return None
        with suppress(OSError):  # where nothing can be written, nothing is deleted either
            os.utime(path)
        return found

    def kept(self) -> list[Kept]:
        """The packed files, the least recently used first."""
        found = []
        for path in self.directory.glob("*" + _ENDING):
            with suppress(OSError):  # another process deleted it just now, or we may not look
                status = path.stat()
                found.append(Kept(path, status.st_size, status.st_mtime_ns))
        return sorted(found, key=lambda one: one.used_ns)

    def clear(self) -> None:
        """Deletes all packed files; programs that use one keep it until they end. Raises FileError."""
        try:
            if self.directory.is_dir():
                with self._locked():
                    self._make_room(self.limit_bytes)
        except OSError as error:
            raise FileError(f"{self.directory} could not be cleared: {error.strerror}.") from error

    def _write(self, path: Path, wanted: Wanted, make: Callable[[], Iterable[Bytes]]) -> list[Bytes]:
        if wanted.bytes > self.limit_bytes:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        self.directory.mkdir(parents=True, exist_ok=True)
        with self._locked():
            if (found := _read(path, wanted)) is not None:  # another process may have written it while this one waited
                return found
            self._make_room(wanted.bytes, family=path.name.rpartition("-")[0])
            where = f"{wanted.bytes / 1e6:,.0f} MB in {self.directory}, this once"
            with replacing(path, wanted.bytes) as descriptor:  # which finds out whether there is room
                self.announce(f"Packing {wanted.source.name} for the kernels ({where}).")
                _fill(descriptor, wanted, make())
            if (found := _read(path, wanted)) is None:
                raise OSError(errno.EIO, "what was written does not read back")
            return found

    def _locked(self) -> AbstractContextManager[None]:
        waiting = f"Another process is packing a model in {self.directory}; waiting for it."
        return locked(self.directory / "lock", lambda: self.announce(waiting))

    def _make_room(self, size: int, family: str | None = None) -> None:
        """Deletes what is in the way of `size` more bytes: leftovers, the same model's files, then the least used."""
        for leftover in self.directory.glob("*" + _ENDING + ".partial"):
            leftover.unlink()
        kept = self.kept()
        left = sum(one.bytes for one in kept)
        for one in sorted(kept, key=lambda one: one.path.name.rpartition("-")[0] != family):
            if one.path.name.rpartition("-")[0] == family or left + size > self.limit_bytes:
                one.path.unlink()
                left -= one.bytes


def _name(wanted: Wanted) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", wanted.source.name)[:60]
    place = hashlib.sha256(os.fsencode(wanted.source.absolute()) + b"\0" + wanted.choices.encode()).hexdigest()[:8]
    return f"{name}-{place}-{wanted.key.hex()[:16]}{_ENDING}"


def _fill(descriptor: int, wanted: Wanted, sections: Iterable[Bytes]) -> None:
    os.lseek(descriptor, PAGE, os.SEEK_SET)
    for section, size in zip(sections, wanted.sizes, strict=True):
        assert section.nbytes == size
        write_all(descriptor, section.data)
        write_all(descriptor, bytes(_whole_pages(size) - size))
    mapped = _mapped(descriptor, wanted.bytes)
    os.pwrite(descriptor, _header(wanted, mapped), 0)


def _read(path: Path, wanted: Wanted) -> list[Bytes] | None:
    """The sections of the file at `path`, or None if it is missing, damaged or another than wanted. Raises OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # not to wait at a pipe somebody put there
    except FileNotFoundError:
        return None
    try:
        if os.fstat(descriptor).st_size != wanted.bytes:
            return None
        data = _mapped(descriptor, wanted.bytes)
    finally:
        os.close(descriptor)
    if data[:PAGE].tobytes() != _header(wanted, data):
        return None
    return list(_cut(data, wanted.sizes))


def _mapped(descriptor: int, size: int) -> Bytes:
    mapped = mmap.mmap(descriptor, size, access=mmap.ACCESS_READ)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a hint, which kernels may lack: read from disk 2 MiB at a time, and mapped so
            mapped.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(mapped, np.uint8)


def _header(wanted: Wanted, data: Bytes) -> bytes:
    """The first page of a sound file whose other pages are those of `data`."""
    checksum = ops.checksum(data[PAGE:])
    return (_MAGIC + wanted.key + checksum.to_bytes(8, "little")).ljust(PAGE, b"\0")


def _cut(data: Bytes, sizes: Sequence[int]) -> Iterator[Bytes]:
    at = PAGE
    for size in sizes:
        yield data[at : at + size]
        at += _whole_pages(size)


def _whole_pages(size: int) -> int:
    return -(-size // PAGE) * PAGE
