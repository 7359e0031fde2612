"""Pages of a mapped file that have been read are given back on request, and can be read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gemwright.weights.mapped import map_file, release

MEBIBYTE = 1 << 20


def resident_file_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssFile:"):
            return int(line.split()[1]) * 1024
    pytest.skip("this system does not report RssFile")


def test_released_pages_are_given_back_and_read_the_same_again(tmp_path):
    content = np.random.default_rng(0).integers(0, 256, 64 * MEBIBYTE, dtype=np.uint8)
    path = tmp_path / "weights"
    content.tofile(path)
    mapped = map_file(path)
    part = mapped[1000 : 48 * MEBIBYTE]
    total = int(part.sum(dtype=np.int64))
    before = resident_file_bytes()
    release(part)
    assert before - resident_file_bytes() > 40 * MEBIBYTE
    assert int(part.sum(dtype=np.int64)) == total
    assert np.array_equal(mapped, content)


def test_memory_that_is_no_file_is_left_alone():
    array = np.arange(100_000, dtype=np.uint8)
    release(array[5:])
    assert array[77] == 77
