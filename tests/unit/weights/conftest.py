"""What the tests of model files share."""

from __future__ import annotations

from pathlib import Path

import pytest

from gemwright.embedded import default_model
from gemwright.settings import load_settings


@pytest.fixture(scope="session")
def default_model_path() -> Path:
    """The real Gemma 3 270M file, assembled if it was not yet."""
    return default_model(load_settings().cache_dir, print)
