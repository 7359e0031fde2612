"""Docs that cannot lie: generated pages are fresh, and what README and docs name exists."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import gemwright
from gemwright.cli.app import COMMANDS, command_named
from gemwright.cli.parser import Option, parameters

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
README = (ROOT / "README.md").read_text("utf-8")


def test_generated_reference_pages_are_fresh() -> None:
    script = [sys.executable, "scripts/make_docs.py", "--check"]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_every_name_in_the_readme_s_python_exists() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert blocks
    for block in blocks:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module == "gemwright":
                assert [alias.name for alias in node.names if not hasattr(gemwright, alias.name)] == []
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                owners: dict[str, Any] = {"gemwright": gemwright, "model": gemwright.Model}
                owner = owners.get(node.value.id)
                assert owner is None or hasattr(owner, node.attr), f"{node.value.id}.{node.attr} in README.md"


def test_every_command_and_option_in_the_readme_exists() -> None:
    lines = re.findall(r"^\$ gemwright (.+)$|^gemwright (.+)$", README, re.MULTILINE)
    assert len(lines) >= 5
    for line in ("".join(found) for found in lines):
        name, *arguments = shlex.split(line, comments=True)
        assert name in COMMANDS, line
        known = _options(name)
        asked = {argument.partition("=")[0] for argument in arguments if re.match(r"--?[a-z]", argument)}
        assert asked <= known, line


def test_every_make_verb_in_the_readme_exists() -> None:
    verbs = set(re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:^\$ |`)make ([a-z0-9-]+)", README, re.MULTILINE))
    assert {"run", "test"} <= named <= verbs


def test_the_readme_lists_every_command() -> None:
    assert [name for name in COMMANDS if f"`gemwright {name}" not in README] == []


def test_the_version_is_the_same_everywhere() -> None:
    declared = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert declared is not None
    assert declared.group(1) == gemwright.__version__
    assert f"## {gemwright.__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text("utf-8")
    pages = [page.name for page in folder.glob("*.md") if page.name != "README.md"]
    assert [page for page in pages if f"({page})" not in index] == []


def _options(name: str) -> set[str]:
    declared = [parameter.declared for parameter in parameters(command_named(name))]
    return {"--help"}.union(*(one.names for one in declared if isinstance(one, Option)))


def test_the_page_on_architectures_names_code_that_exists() -> None:
    package = ROOT / "src" / "gemwright"
    homes = (package / "models", package, ROOT / "tests" / "conformance")
    text = " ".join((ROOT / "docs" / "concepts" / "architectures.md").read_text("utf-8").split())
    named = re.findall(r"`([\w/]+\.py)(?:: ([\w., ]+))?`", text)
    assert len(named) > 30
    for file, names in named:
        path = next((home / file for home in homes if (home / file).exists()), None)
        assert path is not None, file
        source = path.read_text("utf-8")
        for name in filter(None, re.split(r"[., ]+", names)):
            assert re.search(rf"\b(def|class) {name}\b|^ *{name}\b", source, re.MULTILINE), f"{file}: {name}"
