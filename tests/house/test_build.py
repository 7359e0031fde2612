"""What `make` promises: the verbs, the versions it builds with, and a sentence when the system lacks something."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = (ROOT / "pyproject.toml").read_text("utf-8")


def test_make_builds_with_the_versions_installers_build_with() -> None:
    system = re.search(r"^requires = \[(.+?)\]", PROJECT, re.MULTILINE | re.DOTALL)
    group = re.search(r"^build = \[(.+?)\n\]", PROJECT, re.MULTILINE | re.DOTALL)
    assert system is not None
    assert group is not None
    assert set(re.findall(r'"(.+?)"', system.group(1))) <= set(re.findall(r'"(.+?)"', group.group(1)))


def test_make_alone_lists_every_verb() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    phony = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert phony is not None
    assert set(phony.group(1).split()) == set(re.findall(r"^([a-z0-9-]+):.*## ", makefile, re.MULTILINE))


def test_continuous_integration_runs_make_test() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert "make test" in script.read_text("utf-8")


@pytest.fixture
def prepare() -> ModuleType:
    spec = importlib.util.spec_from_file_location("prepare_python", ROOT / "scripts" / "prepare_python.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_nothing_is_missing_where_this_suite_was_built(prepare: ModuleType) -> None:
    assert prepare.missing_packages() == []


def test_missing_parts_are_named_as_debian_packages(prepare: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(prepare.sysconfig, "get_path", lambda name: "/nowhere")
    monkeypatch.setattr(prepare.shutil, "which", lambda name: None)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert prepare.missing_packages() == [f"python{version}-venv", f"python{version}-dev", "g++"]


def test_without_root_the_command_is_shown_and_nothing_is_made(
    prepare: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(prepare, "missing_packages", lambda: ["python3.11-venv"])
    monkeypatch.setattr(prepare.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "argv", ["prepare_python.py", str(tmp_path / "venv")])
    assert prepare.main() == 1
    assert "sudo apt-get install python3.11-venv" in capsys.readouterr().err
    assert not (tmp_path / "venv").exists()


def test_an_old_python_is_refused_with_the_version_needed(
    prepare: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(prepare, "OLDEST", (99, 0))
    assert prepare.main() == 1
    assert "too old" in capsys.readouterr().err
