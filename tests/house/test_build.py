"""The build declares its requirements twice, for installers and for `make`; both say the same."""

from __future__ import annotations

import re
from pathlib import Path

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
