"""When a soak says that memory has come to rest."""

from __future__ import annotations

import mmap

import pytest


def test_memory_that_grows_early_and_then_rests_is_fine(module) -> None:
    assert module("soak").growth([100.0, 200.0, 300.0] + [310.0] * 6)["rested"]


def test_memory_that_keeps_growing_is_not(module) -> None:
    verdict = module("soak").growth([300.0 + 4 * i for i in range(30)])
    assert verdict["growth_mib"] == pytest.approx(40.0)
    assert not verdict["rested"]


def test_one_high_sample_at_the_end_is_not_taken_for_growth(module) -> None:
    assert module("soak").growth([300.0] * 29 + [900.0])["rested"]


def test_too_few_samples_tell_nothing(module) -> None:
    with pytest.raises(SystemExit, match="soak for longer"):
        module("soak").growth([1.0] * 8)


def test_the_resident_set_is_measured_in_mebibytes(module) -> None:
    before = module("soak").resident_mib()
    with mmap.mmap(-1, 64 << 20) as fresh:  # not from the heap, which may hold freed memory
        fresh.write(b"x" * (64 << 20))
        grown = module("soak").resident_mib() - before
    assert 48 < grown < 160  # the bytes written from may be counted too
