"""Runs pytest on the package found on PYTHONPATH (built with emulated AVX-512) instead of the installed one.

The editable installation finds `gemwright` before PYTHONPATH is looked at, so its finder has to step aside.
"""

from __future__ import annotations

import sys

import pytest

sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != "ScikitBuildRedirectingFinder"]
sys.exit(pytest.main([*sys.argv[1:], "-p", "no:cacheprovider"]))
