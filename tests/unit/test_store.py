"""Packed files are written once, checked byte by byte at every start, and never a reason to fail."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gemwright import atomic, store
from gemwright.store import PAGE, Bytes, Store, Wanted
from support.unprivileged import read_only_directory, unprivileged

SIZES = (10_000, 1, PAGE, 3 * PAGE + 5)
WANTED = Wanted(Path("models/toy.gguf"), "as stored", b"k" * 32, SIZES)


def content(seed: int = 1) -> list[Bytes]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, size, dtype=np.uint8) for size in SIZES]


class Packer:
    """Gives `content` and counts how often it was asked."""

    def __init__(self, seed: int = 1) -> None:
        self.seed = seed
        self.asked = 0

    def __call__(self) -> Iterator[Bytes]:
        self.asked += 1
        yield from content(self.seed)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def kept(tmp_path: Path, said: list[str]) -> Store:
    return Store(tmp_path / "cache" / "packed", 1_000_000, said.append, smallest_bytes=0)


@pytest.fixture
def pack() -> Packer:
    return Packer()


def same(found: list[Bytes] | None, expected: list[Bytes]) -> bool:
    return found is not None and all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()} if directory.is_dir() else set()


def only_file(kept: Store) -> Path:
    (one,) = kept.kept()
    return one.path


def test_a_model_is_packed_once_and_said_once(kept: Store, pack: Packer, said: list[str]) -> None:
    for _ in range(3):
        assert same(kept.sections(WANTED, pack), content())
    assert pack.asked == 1
    assert said == [f"Packing toy.gguf for the kernels (0 MB in {kept.directory}, this once)."]
    assert names(kept.directory) == {only_file(kept).name, "lock"}
    assert only_file(kept).stat().st_size == WANTED.bytes


def test_sections_lie_on_whole_pages_and_cannot_be_written(kept: Store, pack: Packer) -> None:
    for _ in range(2):
        for section in kept.sections(WANTED, pack) or []:
            assert section.ctypes.data % PAGE == 0
            with pytest.raises(ValueError, match="read-only"):
                section[0] = 1


def test_sections_stay_readable_when_the_file_is_replaced_or_deleted(kept: Store, pack: Packer) -> None:
    first = kept.sections(WANTED, pack)
    kept.sections(replace(WANTED, key=b"n" * 32), Packer(2))
    kept.clear()
    assert same(first, content())


@pytest.mark.parametrize(
    "place", [0, 18, 19, 50, 51, 58, 59, PAGE - 1, PAGE, PAGE + 9_999, PAGE + 10_000, 4 * PAGE + 1, WANTED.bytes - 1]
)
@pytest.mark.parametrize("bit", [1, 128])
def test_one_wrong_bit_anywhere_is_found_and_the_file_replaced(kept: Store, pack: Packer, place: int, bit: int) -> None:
    kept.sections(WANTED, pack)
    path = only_file(kept)
    with path.open("r+b") as file:
        file.seek(place)
        (byte,) = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ bit]))
    assert same(kept.sections(WANTED, pack), content())
    assert pack.asked == 2
    assert same(kept.sections(WANTED, pack), content())
    assert pack.asked == 2


@pytest.mark.parametrize("size", [0, 1, PAGE - 1, PAGE, WANTED.bytes - PAGE, WANTED.bytes - 1, WANTED.bytes + 1])
def test_a_file_of_another_length_is_replaced(kept: Store, pack: Packer, size: int) -> None:
    kept.sections(WANTED, pack)
    os.truncate(only_file(kept), size)
    assert same(kept.sections(WANTED, pack), content())
    assert pack.asked == 2


def test_a_file_of_zeros_or_of_another_model_under_the_right_name_is_replaced(kept: Store, pack: Packer) -> None:
    kept.sections(WANTED, pack)
    path = only_file(kept)
    path.write_bytes(bytes(WANTED.bytes))
    assert same(kept.sections(WANTED, pack), content())
    other = replace(kept, directory=kept.directory.parent / "other")
    other.sections(replace(WANTED, key=b"o" * 32), Packer(2))
    path.write_bytes(only_file(other).read_bytes())
    assert same(kept.sections(WANTED, pack), content())
    assert pack.asked == 3


def test_what_lies_in_the_way_but_is_no_file_is_no_reason_to_fail(kept: Store, pack: Packer, said: list[str]) -> None:
    kept.sections(WANTED, pack)
    path = only_file(kept)
    path.unlink()
    os.mkfifo(path)
    assert same(kept.sections(WANTED, pack), content())
    path.unlink()
    path.mkdir()
    said.clear()
    assert kept.sections(WANTED, pack) is None
    assert [text.split(":")[0] for text in said] == ["Packing toy.gguf at every start"]


def test_a_new_version_of_a_model_replaces_the_old_one_and_leaves_others(kept: Store, pack: Packer) -> None:
    elsewhere = replace(WANTED, source=Path("other/toy.gguf"))
    for one in (WANTED, elsewhere, replace(WANTED, key=b"n" * 32)):
        kept.sections(one, Packer())
    assert len(kept.kept()) == 2
    assert same(kept.sections(elsewhere, pack), content())
    assert same(kept.sections(replace(WANTED, key=b"n" * 32), pack), content())
    assert pack.asked == 0
    kept.sections(WANTED, pack)
    assert pack.asked == 1


def test_a_model_packed_in_two_ways_is_kept_in_both(kept: Store, pack: Packer) -> None:
    smaller = replace(WANTED, choices="smaller", key=b"s" * 32)
    for one in (WANTED, smaller):
        kept.sections(one, Packer())
    for one in (WANTED, smaller):
        assert same(kept.sections(one, pack), content())
    assert pack.asked == 0


def test_the_least_recently_used_give_way_when_room_is_short(kept: Store) -> None:
    small = replace(kept, limit_bytes=3 * WANTED.bytes)
    first, second, third, fourth = (replace(WANTED, source=Path(f"{i}.gguf")) for i in range(4))
    for age, one in enumerate((first, second, third)):
        small.sections(one, Packer())
        os.utime(small.kept()[-1].path, ns=(age, age))
    small.sections(first, Packer())  # now the second is the one that was used longest ago
    small.sections(fourth, Packer())
    assert [one.path.name.partition("-")[0] for one in small.kept()] == ["2.gguf", "0.gguf", "3.gguf"]
    assert sum(one.bytes for one in small.kept()) <= small.limit_bytes


def test_a_model_larger_than_the_bound_is_not_kept_and_deletes_nothing(
    kept: Store, pack: Packer, said: list[str]
) -> None:
    kept.sections(replace(WANTED, source=Path("other.gguf")), Packer())
    said.clear()
    assert replace(kept, limit_bytes=WANTED.bytes - 1).sections(WANTED, pack) is None
    assert pack.asked == 0
    assert len(kept.kept()) == 1
    assert said == [f"Packing toy.gguf at every start: {kept.directory} cannot keep it (there is no room)."]


@pytest.mark.parametrize("options", [{"limit_bytes": 0}, {"smallest_bytes": WANTED.bytes + 1}])
def test_with_a_bound_of_zero_and_for_small_models_nothing_is_kept_or_said(
    kept: Store, pack: Packer, said: list[str], options: dict[str, int]
) -> None:
    assert replace(kept, **options).sections(WANTED, pack) is None
    assert (pack.asked, said, kept.directory.exists()) == (0, [], False)


def test_clearing_deletes_every_packed_file_and_nothing_else(kept: Store, pack: Packer) -> None:
    kept.clear()  # of a directory that is not there
    kept.sections(WANTED, pack)
    (kept.directory / "mine.txt").write_text("keep")
    kept.clear()
    assert names(kept.directory) == {"mine.txt", "lock"}


@pytest.mark.parametrize("name", ["a/../../escape", "\x1b[2J", "-", "ä" * 300, "x" * 300, "…"])
def test_a_strange_name_of_a_model_becomes_a_plain_one(kept: Store, pack: Packer, name: str) -> None:
    assert same(kept.sections(replace(WANTED, source=Path(name)), pack), content())
    assert only_file(kept).parent == kept.directory
    assert only_file(kept).name.isascii()
    assert only_file(kept).name.isprintable()


@pytest.mark.parametrize("call", ["posix_fallocate", "write", "pwrite", "fsync"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_full_or_broken_disk_means_packing_in_memory_and_leaves_nothing(
    kept: Store, pack: Packer, said: list[str], monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    def fails(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fails)
    assert kept.sections(WANTED, pack) is None
    monkeypatch.undo()
    assert names(kept.directory) == {"lock"}
    problem = "Input/output error" if number == errno.EIO else "there is no room"
    assert said[-1] == f"Packing toy.gguf at every start: {kept.directory} cannot keep it ({problem})."
    assert len(said) == (1 if call == "posix_fallocate" else 2), "what cannot be begun is not announced"
    assert same(kept.sections(WANTED, pack), content())


def test_a_disk_that_gives_back_something_else_is_not_believed(
    kept: Store, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "pwrite", lambda *_: PAGE)
    assert kept.sections(WANTED, Packer()) is None
    assert "does not read back" in said[-1]


def test_an_error_or_ctrl_c_while_packing_leaves_nothing(kept: Store) -> None:
    def interrupted() -> Iterator[Bytes]:
        yield content()[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept.sections(WANTED, interrupted)
    assert names(kept.directory) == {"lock"}


def test_a_planted_link_is_not_written_through(kept: Store, pack: Packer, tmp_path: Path) -> None:
    kept.sections(WANTED, pack)
    path = only_file(kept)
    path.unlink()
    (tmp_path / "precious").write_text("keep")
    atomic.beside(path, ".partial").symlink_to(tmp_path / "precious")
    path.symlink_to(tmp_path / "precious")
    assert same(kept.sections(WANTED, pack), content())
    assert (tmp_path / "precious").read_text() == "keep"


def in_process(directory: Path, before: str = "") -> subprocess.Popen[str]:
    """Another process that wants the sections; `before` runs in it first."""
    program = f"""
import os, signal, sys
sys.path[:0] = {sys.path!r}
from pathlib import Path, PosixPath
import numpy as np
from gemwright import store
from gemwright.store import Store, Wanted
def make():
    print("made", flush=True)
    rng = np.random.default_rng(1)
    for size in {SIZES!r}:
        yield rng.integers(0, 256, size, dtype=np.uint8)
{textwrap.dedent(before)}
found = Store(Path({str(directory)!r}), 1_000_000, lambda text: print(text, flush=True), 0).sections({WANTED!r}, make)
print(sum(int(section.sum()) for section in found))
"""
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.timeout(120)
def test_processes_that_start_at_once_pack_once(kept: Store, pack: Packer) -> None:
    kept.directory.mkdir(parents=True)
    with (kept.directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # all arrive while another one, we, hold the lock
        processes = [in_process(kept.directory) for _ in range(3)]
        for process in processes:
            assert process.stdout
            assert "waiting for it" in process.stdout.readline()
        assert names(kept.directory) == {"lock"}
    outputs = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    said = "".join(out for out, _ in outputs)
    assert said.count("made\n") == said.count("this once") == 1
    assert said.count(f"{sum(int(section.sum()) for section in content())}\n") == 3
    assert same(kept.sections(WANTED, pack), content())
    assert pack.asked == 0


@pytest.mark.timeout(120)
def test_a_process_killed_while_writing_leaves_nothing_that_counts(kept: Store, pack: Packer) -> None:
    killed = in_process(kept.directory, "store.write_all = lambda *_: os.kill(os.getpid(), signal.SIGKILL)")
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    (leftover,) = (path for path in kept.directory.iterdir() if path.name.endswith(".partial"))
    other = replace(WANTED, source=Path("other.gguf"))
    assert same(kept.sections(other, pack), content())
    assert not leftover.exists()
    assert same(kept.sections(WANTED, pack), content())
    assert pack.asked == 2


@pytest.fixture
def read_only() -> Iterator[Path]:
    with read_only_directory() as directory:
        yield directory


def asked_for_by_a_user(directory: Path) -> str:
    """Whether a user for whom modes count gets the sections, and what is said."""

    def ask() -> str:
        said: list[str] = []
        found = Store(directory, 1_000_000, said.append, smallest_bytes=0).sections(WANTED, Packer())
        return " ".join([str(same(found, content())), *said])

    return unprivileged(ask)


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_read_only_directory_means_packing_in_memory_and_one_sentence(read_only: Path, below: str) -> None:
    directory = read_only / below
    assert asked_for_by_a_user(directory) == (
        f"False Packing toy.gguf at every start: {directory} cannot keep it (Permission denied)."
    )
    assert names(read_only) == set()


def test_a_read_only_directory_that_has_the_file_serves_it_without_a_word(read_only: Path) -> None:
    read_only.chmod(0o755)
    Store(read_only, 1_000_000, [].append, smallest_bytes=0).sections(WANTED, Packer())
    read_only.chmod(0o555)
    assert asked_for_by_a_user(read_only) == "True"


def test_a_file_where_the_directory_should_be_means_packing_in_memory(tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "file").touch()
    for directory in (tmp_path / "file", tmp_path / "file" / "below"):
        assert Store(directory, 1_000_000, said.append, smallest_bytes=0).sections(WANTED, Packer()) is None
    assert len(said) == 2


def test_a_file_that_another_format_wrote_is_replaced(
    kept: Store, pack: Packer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(store, "_MAGIC", b"gemwright packed 0\n")
        kept.sections(WANTED, pack)
    assert same(kept.sections(WANTED, pack), content())
    assert pack.asked == 2
