"""Every operation is tested on every CPU target; those this CPU lacks are skipped by name."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from gemwright import ops


@pytest.fixture(params=list(ops.targets()))
def target(request: pytest.FixtureRequest) -> Iterator[str]:
    name: str = request.param
    if not ops.targets()[name]:
        pytest.skip(f"this CPU cannot run {name}")
    before = ops.active_target()
    ops.use_target(name)
    yield name
    ops.use_target(before)


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    seed = sum(request.node.name.encode())
    print(f"seed {seed}")
    return np.random.default_rng(seed)


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = ops.threads()
    ops.set_threads(2)
    yield
    ops.set_threads(before)
