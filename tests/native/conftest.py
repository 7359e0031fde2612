"""The native test program (native/tests), built once per session for this machine and for ARM."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from support.native_program import Outcome, run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def native_tests() -> ModuleType:
    """scripts/native_tests.py, which knows how the program is built and run."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        spec = importlib.util.spec_from_file_location("native_tests", ROOT / "scripts" / "native_tests.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


@pytest.fixture(scope="session")
def on_this_machine(native_tests: ModuleType) -> Outcome:
    return run([native_tests.build("host")])


@pytest.fixture(scope="session")
def arm_program(native_tests: ModuleType) -> Path:
    """Skips the test where there is no cross compiler or no QEMU."""
    if missing := " ".join(native_tests.missing_packages()):
        pytest.skip(f"not installed here: {missing}")
    program: Path = native_tests.build("aarch64")
    return program
