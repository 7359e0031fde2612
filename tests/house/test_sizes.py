"""A file is one idea: none is so long that it must be several. The longest ones are shown with `pytest -s`."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST_LINES = 400
FOLDERS = {
    "src": (".py", ".pyi"),
    "native": (".h", ".cpp"),
    "scripts": (".py",),
    "benchmarks": (".py",),
    "tests": (".py",),
}


def test_no_source_file_is_longer_than_400_lines() -> None:
    lines = {
        path.relative_to(ROOT): len(path.read_text("utf-8").splitlines())
        for folder, endings in FOLDERS.items()
        for path in (ROOT / folder).rglob("*")
        if path.suffix in endings
    }
    longest = sorted(lines, key=lambda path: -lines[path])
    print("\n" + "\n".join(f"{lines[path]:5} {path}" for path in longest[:10]))
    assert len(lines) > 50
    assert [f"{path}: {lines[path]}" for path in longest if lines[path] > MOST_LINES] == []
