"""What can be imported from gemwright: exactly `__all__`, and at no cost until it is used."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import gemwright
from gemwright import errors


def test_every_public_name_exists_and_says_what_it_is() -> None:
    assert sorted(gemwright.__all__) == list(gemwright.__all__)
    for name in gemwright.__all__:
        assert name == "__version__" or getattr(gemwright, name).__doc__, f"{name} has no docstring"


def test_what_is_lazy_is_what_is_public() -> None:
    assert set(gemwright._HOME_OF) | {"__version__"} == set(gemwright.__all__)
    assert set(gemwright.__all__) <= set(dir(gemwright))


def test_every_error_is_public() -> None:
    kinds = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert kinds <= set(gemwright.__all__)


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    assert not hasattr(gemwright, "nothing_of_the_kind")


def test_the_version_is_the_one_that_is_packaged() -> None:
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")
    assert re.findall(r'^version = "(.*)"$', project, re.MULTILINE) == [gemwright.__version__]


_MEASURE = """
import sys
before = set(sys.modules)
import gemwright
print(*(set(sys.modules) - before))
"""


def test_importing_gemwright_imports_nothing_else() -> None:
    """In a fresh interpreter: no NumPy, no module of ours but the package."""
    run = subprocess.run([sys.executable, "-c", _MEASURE], capture_output=True, text=True, check=True)
    assert [name for name in run.stdout.split() if name.startswith(("gemwright", "numpy"))] == ["gemwright"]
