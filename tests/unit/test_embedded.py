"""The default model is put together once, checked, and never there in part. With a delivery of a few kilobytes."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from gemwright import embedded
from gemwright.embedded import GEMMA_3_270M, Chunk, Delivery, default_model
from gemwright.errors import FileError
from gemwright.settings import load_settings
from support.unprivileged import read_only_directory, unprivileged

PIECES = (b"G" * 3000, b"\0\1\2" * 500, b"end")
WHOLE = b"".join(PIECES)
TOY = Delivery(
    file="toy.gguf",
    sha256=hashlib.sha256(WHOLE).hexdigest(),
    chunks=tuple(
        Chunk(f"gemwright_toy_part{i}", f"toy.gguf.part{i:02}", len(piece)) for i, piece in enumerate(PIECES, 1)
    ),
    package="gemwright-toy",
    notice="Mind the licence.",
)
AFTERWARDS = {"toy.gguf", "toy.gguf.json", "toy.gguf.lock", "toy.gguf.terms-shown"}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages that hold the pieces; importing one of them is an error."""
    for chunk, piece in zip(TOY.chunks, PIECES, strict=True):
        data = tmp_path / "site" / chunk.module / "data"
        data.mkdir(parents=True)
        (data.parent / "__init__.py").write_text("raise RuntimeError('code of the package was run')")
        (data / chunk.file).write_bytes(piece)
    monkeypatch.syspath_prepend(tmp_path / "site")
    return tmp_path / "site"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "gemwright"


@pytest.fixture
def said() -> list[str]:
    return []


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()} if directory.is_dir() else set()


def nothing_half_written(cache: Path) -> bool:
    return names(cache) <= {"toy.gguf.lock"}


@pytest.mark.usefixtures("site")
def test_the_model_is_assembled_once_and_the_notice_shown_once(cache: Path, said: list[str]) -> None:
    path = default_model(cache, said.append, TOY)
    assert path == cache / "toy.gguf"
    assert path.read_bytes() == WHOLE
    assert [text.split()[0] for text in said] == ["Assembling", "Mind"]
    assert names(cache) == AFTERWARDS
    said.clear()
    stamp = path.stat().st_mtime_ns
    assert default_model(cache, said.append, TOY) == path
    assert said == []
    assert path.stat().st_mtime_ns == stamp


@pytest.mark.usefixtures("site")
def test_a_later_start_neither_hashes_nor_needs_the_packages(
    cache: Path, said: list[str], site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = default_model(cache, said.append, TOY)
    shutil.rmtree(site)
    monkeypatch.setattr(hashlib, "sha256", None)
    monkeypatch.setattr(embedded, "find_spec", None)
    assert default_model(cache, said.append, TOY) == path


@pytest.mark.usefixtures("site")
def test_a_model_that_was_copied_is_checked_but_not_assembled_again(cache: Path, said: list[str]) -> None:
    path = default_model(cache, said.append, TOY)
    os.utime(path, (1, 1))
    said.clear()
    inode = path.stat().st_ino
    assert default_model(cache, said.append, TOY).stat().st_ino == inode
    assert said == []
    assert json.loads((cache / "toy.gguf.json").read_text())["modified"] == 1


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("damage", [WHOLE[:-1], WHOLE + b"x", b"X" + WHOLE[1:], b""])
def test_a_damaged_model_is_replaced(cache: Path, said: list[str], damage: bytes) -> None:
    path = default_model(cache, said.append, TOY)
    path.write_bytes(damage)
    os.utime(path, (1, 1))
    assert default_model(cache, said.append, TOY).read_bytes() == WHOLE


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("note", ["", "{}", "[", "null", "\udcff", '{"sha256": "0", "bytes": 4503, "modified": 1}'])
def test_a_damaged_note_is_not_believed(cache: Path, said: list[str], note: str) -> None:
    path = default_model(cache, said.append, TOY)
    sound = (cache / "toy.gguf.json").read_text()
    (cache / "toy.gguf.json").write_bytes(note.encode("utf-8", "surrogateescape"))
    path.write_bytes(b"X" + WHOLE[1:])
    assert default_model(cache, said.append, TOY).read_bytes() == WHOLE
    assert len((cache / "toy.gguf.json").read_text()) == len(sound)


@pytest.mark.usefixtures("site")
def test_a_newer_delivery_replaces_an_older_one_of_the_same_name(cache: Path, said: list[str]) -> None:
    default_model(cache, said.append, TOY)
    other = Delivery(TOY.file, hashlib.sha256(PIECES[0]).hexdigest(), TOY.chunks[:1], TOY.package, TOY.notice)
    assert default_model(cache, said.append, other).read_bytes() == PIECES[0]


def test_a_missing_package_is_named_with_the_command_that_installs_it(cache: Path, said: list[str]) -> None:
    with pytest.raises(FileError, match=r"gemwright-toy.*pip install 'gemwright\[default-model\]'"):
        default_model(cache, said.append, TOY)
    assert nothing_half_written(cache)
    assert said == []


def test_a_module_that_is_no_package_counts_as_missing(cache: Path, said: list[str], site: Path) -> None:
    shutil.rmtree(site / TOY.chunks[0].module)
    (site / f"{TOY.chunks[0].module}.py").touch()
    with pytest.raises(FileError, match="is not installed"):
        default_model(cache, said.append, TOY)


@pytest.mark.parametrize("damage", [b"", PIECES[1][:-1], PIECES[1] + b"x", None])
def test_a_cut_or_missing_piece_is_named(cache: Path, said: list[str], site: Path, damage: bytes | None) -> None:
    piece = site / TOY.chunks[1].module / "data" / TOY.chunks[1].file
    piece.unlink()
    if damage is not None:
        piece.write_bytes(damage)
    with pytest.raises(
        FileError, match=rf"part02 has {len(damage or b''):,} bytes instead of 1,500.*--force-reinstall"
    ):
        default_model(cache, said.append, TOY)
    assert nothing_half_written(cache)


def test_a_piece_with_one_wrong_bit_is_noticed(cache: Path, said: list[str], site: Path) -> None:
    piece = site / TOY.chunks[1].module / "data" / TOY.chunks[1].file
    piece.write_bytes(b"\1" + PIECES[1][1:])
    with pytest.raises(FileError, match="do not give the file with SHA-256"):
        default_model(cache, said.append, TOY)
    assert nothing_half_written(cache)
    piece.write_bytes(PIECES[1])
    assert default_model(cache, said.append, TOY).read_bytes() == WHOLE


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("call", ["posix_fallocate", "write", "fsync"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_called_that_and_leaves_nothing(
    cache: Path, said: list[str], monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    def full(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(FileError, match=r"has no room for the default model.*Free some space"):
        default_model(cache, said.append, TOY)
    monkeypatch.undo()
    assert nothing_half_written(cache)


@pytest.mark.usefixtures("site")
def test_a_disk_that_fills_up_while_the_note_is_written_keeps_the_model(
    cache: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def small_disk(descriptor: int, data: bytes) -> int:
        if bytes(data[:1]) == b"{":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", small_disk)
    with pytest.raises(FileError, match="no room"):
        default_model(cache, said.append, TOY)
    assert names(cache) == {"toy.gguf", "toy.gguf.lock"}
    assert (cache / "toy.gguf").read_bytes() == WHOLE


def in_process(site: Path, cache: Path, before: str = "") -> subprocess.Popen[str]:
    """Another process that wants the model; `before` runs in it first, with `embedded` imported."""
    program = f"""
import os, resource, signal, sys
sys.path[:0] = {[str(site), *sys.path]!r}
from pathlib import Path
from gemwright import embedded
from gemwright.embedded import Chunk, Delivery
from gemwright.errors import FileError
{textwrap.dedent(before)}
try:
    path = embedded.default_model(Path({str(cache)!r}), lambda text: print(text, flush=True), {TOY!r})
except FileError as error:
    sys.exit(str(error))
print(path.stat().st_size)
"""
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.timeout(60)
def test_a_limit_on_file_sizes_is_answered_like_a_full_disk(site: Path, cache: Path) -> None:
    process = in_process(site, cache, "resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))")
    _, err = process.communicate()
    assert process.returncode == 1
    assert "has no room for the default model" in err
    assert "Traceback" not in err
    assert nothing_half_written(cache)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1024


@pytest.mark.timeout(60)
def test_two_processes_at_once_assemble_once(site: Path, cache: Path) -> None:
    cache.mkdir(parents=True)
    with (cache / "toy.gguf.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # both arrive while a third one, we, hold the lock
        processes = [in_process(site, cache) for _ in range(2)]
        for process in processes:
            assert process.stdout
            assert "waiting for it" in process.stdout.readline()
        assert names(cache) == {"toy.gguf.lock"}
    outputs = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    said = "".join(out for out, _ in outputs)
    assert said.count("Assembling") == 1
    assert said.count(f"{len(WHOLE)}\n") == 2
    assert (cache / "toy.gguf").read_bytes() == WHOLE
    assert names(cache) == AFTERWARDS


@pytest.mark.timeout(60)
def test_a_process_killed_while_writing_leaves_no_model_and_no_lock_behind(
    site: Path, cache: Path, said: list[str]
) -> None:
    killed = in_process(site, cache, "embedded.write_all = lambda *_: os.kill(os.getpid(), signal.SIGKILL)")
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert "toy.gguf.partial" in names(cache)
    assert "toy.gguf" not in names(cache)
    assert default_model(cache, said.append, TOY).read_bytes() == WHOLE
    assert names(cache) == AFTERWARDS


@pytest.mark.usefixtures("site")
def test_ctrl_c_while_writing_leaves_nothing(cache: Path, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(embedded, "write_all", interrupted)
    with pytest.raises(KeyboardInterrupt):
        default_model(cache, said.append, TOY)
    assert nothing_half_written(cache)


@pytest.fixture
def read_only() -> Iterator[Path]:
    with read_only_directory() as directory:
        yield directory


def asked_for_by_a_user(cache: Path) -> str:
    """What `default_model` says to a user for whom modes count."""

    def ask() -> str:
        said: list[str] = []
        try:
            return str(default_model(cache, said.append, TOY)) + "".join(said)
        except FileError as error:
            return f"FileError: {error}"

    return unprivileged(ask)


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_read_only_cache_directory_is_called_that(read_only: Path, below: str) -> None:
    text = asked_for_by_a_user(read_only / below)
    assert text == (
        f"FileError: The default model cannot be assembled in {read_only / below}: Permission denied. "
        "Set GEMWRIGHT_CACHE_DIR to a directory that can be written to."
    )
    assert names(read_only) == set()


@pytest.mark.usefixtures("site")
def test_a_cache_that_became_read_only_still_serves(read_only: Path, said: list[str]) -> None:
    read_only.chmod(0o755)
    default_model(read_only, said.append, TOY)
    read_only.chmod(0o555)
    assert asked_for_by_a_user(read_only) == str(read_only / "toy.gguf")


@pytest.mark.usefixtures("site")
def test_a_read_only_cache_without_the_marker_shows_the_notice_every_time(read_only: Path, said: list[str]) -> None:
    read_only.chmod(0o755)
    default_model(read_only, said.append, TOY)
    (read_only / "toy.gguf.terms-shown").unlink()
    read_only.chmod(0o555)
    for _ in range(2):
        assert asked_for_by_a_user(read_only) == f"{read_only / 'toy.gguf'}Mind the licence."


@pytest.mark.usefixtures("site")
def test_a_file_where_the_cache_should_be_is_an_error_of_ours(tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "file").touch()
    for cache in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(FileError, match=r"cannot be assembled in .*GEMWRIGHT_CACHE_DIR"):
            default_model(cache, said.append, TOY)


@pytest.mark.usefixtures("site")
def test_a_planted_link_is_not_written_through(cache: Path, said: list[str], tmp_path: Path) -> None:
    cache.mkdir(parents=True)
    (tmp_path / "precious").write_text("keep")
    (cache / "toy.gguf.partial").symlink_to(tmp_path / "precious")
    assert default_model(cache, said.append, TOY).read_bytes() == WHOLE
    assert (tmp_path / "precious").read_text() == "keep"
    assert stat.S_ISREG((cache / "toy.gguf").lstat().st_mode)


@pytest.mark.real
def test_the_real_delivery_is_what_the_package_says_it_is(said: list[str]) -> None:
    path = default_model(load_settings().cache_dir, said.append)
    assert path.stat().st_size == GEMMA_3_270M.size == 253_113_024
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    assert digest.hexdigest() == "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
