"""The environment, read once: defaults, and values that cannot be."""

from __future__ import annotations

import os

import pytest

from gemwright.errors import UsageError
from gemwright.settings import load_settings, spare_threads_of_blas


@pytest.mark.parametrize(("text", "size"), [(None, 20e9), ("", 20e9), ("0", 0), ("0.25", 250e6), ("300", 300e9)])
def test_the_room_for_packed_models_is_given_in_gigabytes(text: str | None, size: float) -> None:
    environ = {"HOME": "/nowhere"} | ({} if text is None else {"GEMWRIGHT_PACKED_GB": text})
    assert load_settings(environ).packed_bytes == size


@pytest.mark.parametrize("text", ["-1", "much", "nan", "inf", "1e30"])
def test_a_room_that_cannot_be_is_refused_by_name(text: str) -> None:
    with pytest.raises(UsageError, match=f"GEMWRIGHT_PACKED_GB is '?{text}"):
        load_settings({"GEMWRIGHT_PACKED_GB": text})


def test_numpy_s_own_threads_are_spared_unless_the_user_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    spare_threads_of_blas()
    assert os.environ["OPENBLAS_NUM_THREADS"] == "1"
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    spare_threads_of_blas()
    assert os.environ["OPENBLAS_NUM_THREADS"] == "3"
