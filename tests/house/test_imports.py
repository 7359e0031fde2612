"""Who may import whom (pyproject.toml, [tool.importlinter]), and the sharper rules a layer contract cannot say."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import gemwright

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "gemwright"


def test_imports_go_downwards_only() -> None:
    linter = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run([sys.executable, "-c", linter], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 kept, 0 broken" in done.stdout or " 0 broken" in done.stdout


@pytest.mark.parametrize(("compiled", "owner"), [("_native", "ops"), ("_tokenizer", "text")])
def test_a_compiled_module_is_imported_by_its_owner_only(compiled: str, owner: str) -> None:
    users = {path for path in PACKAGE.rglob("*.py") if f"gemwright.{compiled}" in _imported(path)}
    strangers = [str(path.relative_to(PACKAGE)) for path in users if path.relative_to(PACKAGE).parts[0] != owner]
    assert users
    assert strangers == []


def test_only_the_command_line_uses_the_names_the_package_offers() -> None:
    """They are loaded when used, so the layers contract cannot see where such an import leads."""
    offered = {f"gemwright.{name}" for name in gemwright.__all__}
    users = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if _imported(path) & offered}
    assert {name for name in users if not name.startswith("cli/")} == set()


def test_only_settings_reads_the_environment() -> None:
    readers = [path.name for path in PACKAGE.rglob("*.py") if {"environ", "getenv"} & _attributes(path)]
    assert readers == ["settings.py"]


def test_the_scheduler_needs_the_standard_library_only() -> None:
    roots = {name.partition(".")[0] for name in _imported(PACKAGE / "engine" / "scheduler.py")}
    assert roots <= set(sys.stdlib_module_names) | {"__future__"}


def test_nothing_that_runs_code_from_a_file_is_ever_imported() -> None:
    forbidden = {"pickle", "marshal", "shelve", "dill", "joblib", "torch"}
    guilty = {
        str(path.relative_to(PACKAGE)): found
        for path in PACKAGE.rglob("*.py")
        if (found := {name.partition(".")[0] for name in _imported(path)} & forbidden)
    }
    assert guilty == {}


def test_importing_the_package_and_its_command_line_loads_nothing_heavy() -> None:
    heavy = {"numpy", "rich", "prompt_toolkit"}
    probe = f"import sys, gemwright, gemwright.cli.run; print(*sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def _imported(path: Path) -> set[str]:
    """Full names of everything `path` imports, at any depth."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _attributes(path: Path) -> set[str]:
    return {node.attr for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Attribute)}
