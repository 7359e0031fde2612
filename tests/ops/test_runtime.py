"""Targets and threads: chosen by name and number, refused when impossible, safe across fork."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from gemwright import ops
from gemwright.errors import TargetError, UsageError
from gemwright.weights import TensorType
from support.blocks import random_tensor


def python(code: str, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environ}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=120, check=False
    )


CONFIGURE = "from gemwright import ops, settings; ops.configure(settings.load_settings()); print(ops.active_target())"


def test_the_best_target_of_this_cpu_is_used():
    usable = [name for name, supported in ops.targets().items() if supported]
    assert python("from gemwright import ops; print(ops.active_target())").stdout.strip() == usable[-1]


def test_the_environment_forces_a_target():
    assert python(CONFIGURE, GEMWRIGHT_TARGET="scalar").stdout.strip() == "scalar"


def test_an_unknown_target_is_refused_and_the_known_ones_are_named():
    with pytest.raises(TargetError, match="There is no CPU target 'mmx'; the targets are scalar, "):
        ops.use_target("mmx")
    assert "TargetError" in python(CONFIGURE, GEMWRIGHT_TARGET="mmx").stderr


def test_a_target_this_cpu_lacks_is_refused():
    lacking = [name for name, supported in ops.targets().items() if not supported]
    if not lacking:
        pytest.skip("this CPU runs every target")
    with pytest.raises(TargetError, match="This CPU cannot run the target"):
        ops.use_target(lacking[0])


@pytest.mark.parametrize("count", [0, -1, 513])
def test_an_impossible_number_of_threads_is_refused(count):
    with pytest.raises(UsageError, match="between 1 and 512"):
        ops.set_threads(count)


def test_a_forked_child_computes_with_threads_of_its_own_and_exits(rng):
    matrix = ops.Matrix(int(TensorType.Q4_0), random_tensor(TensorType.Q4_0, 256, 64, rng), 256, 64, wide=False)
    x = rng.normal(size=(40, 64)).astype(np.float32)
    (y,) = ops.linear(x, matrix)
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(ops.linear(x, matrix)[0], y) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_threads_of_one_process_may_compute_at_the_same_time(rng):
    code = """
import threading
import numpy as np
from gemwright import ops
ops.set_threads(3)
data = np.random.default_rng(0).normal(size=(64, 96)).astype(np.float32)
matrix = ops.Matrix(0, data.view(np.uint8).reshape(-1), 64, 96, wide=False)
x = np.random.default_rng(1).normal(size=(50, 96)).astype(np.float32)
(expected,) = ops.linear(x, matrix)
wrong = []
def work():
    for _ in range(200):
        if not np.array_equal(ops.linear(x, matrix)[0], expected): wrong.append(1)
threads = [threading.Thread(target=work) for _ in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
print("wrong", len(wrong))
"""
    assert python(code).stdout.strip() == "wrong 0"
