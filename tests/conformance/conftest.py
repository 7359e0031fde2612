"""Leaves the process-wide kernels as they were found."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gemwright import ops


@pytest.fixture(autouse=True)
def same_kernels_afterwards() -> Iterator[None]:
    """Threads and CPU target are the process's own; a test may change them freely."""
    threads, target = ops.threads(), ops.active_target()
    yield
    ops.set_threads(threads)
    ops.use_target(target)
