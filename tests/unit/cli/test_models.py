"""`gemwright models`: what can be named, and whether it can be used at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gemwright.cli.models import state_of
from gemwright.embedded import Chunk, Delivery


def _delivery(module: str) -> Delivery:
    return Delivery("some.gguf", "0" * 64, (Chunk(module, "part00", 5),), "some-package", "")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GEMWRIGHT_CACHE_DIR", str(tmp_path))
    return tmp_path


def test_an_assembled_model_is_ready_and_shows_where(cache: Path) -> None:
    (cache / "some.gguf").write_bytes(b"")
    assert state_of(_delivery("no_such_module")) == ("ready", str(cache / "some.gguf"))


def test_an_installed_package_is_assembled_later() -> None:
    assert state_of(_delivery("json"))[0] == "installed"


def test_a_missing_package_is_named() -> None:
    assert state_of(_delivery("no_such_module")) == ("missing", "(pip install some-package)")


def test_json_names_the_default_model_the_architectures_and_the_tensor_types(run) -> None:
    found = json.loads(run("models", "--json").out)
    assert found["models"][0]["name"] == "gemma-3-270m"
    assert found["models"][0]["bytes"] == 253_113_024
    assert {"gemma3", "gemma3_text"} <= set(found["architectures"])
    assert {"Q4_K", "BF16", "IQ4_XS"} <= set(found["tensor_types"])


def test_the_table_is_for_people(run) -> None:
    ran = run("models")
    assert ran.status == 0
    assert "gemma-3-270m" in ran.out
    assert "IQ4_NL" in ran.out


def test_packed_models_are_listed_and_cleared(run, cache: Path) -> None:
    assert "Packed" not in run("models").out
    (cache / "packed").mkdir()
    (cache / "packed" / "toy.gguf-1234-5678.packed").write_bytes(bytes(2_000_000))
    ran = run("models")
    assert str(cache / "packed") in ran.out
    assert "toy.gguf-1234-5678.packed  2 MB" in ran.out
    (listed,) = json.loads(run("models", "--json").out)["packed"]
    assert listed == {"file": str(cache / "packed" / "toy.gguf-1234-5678.packed"), "bytes": 2_000_000}
    assert json.loads(run("models", "--clear-packed", "--json").out)["packed"] == []
    assert [path.name for path in (cache / "packed").iterdir()] == ["lock"]


def test_packed_models_that_cannot_be_deleted_are_an_error_of_ours(run, cache: Path) -> None:
    (cache / "packed" / "toy.packed").mkdir(parents=True)
    ran = run("models", "--clear-packed")
    assert ran.status == 3
    assert ran.err.startswith(f"gemwright: {cache / 'packed'} could not be cleared: ")
