"""What this machine is and can do: CPU name, memory read bandwidth.

python benchmarks/machine.py 2      measures the bandwidth with 2 threads and prints it in GB/s
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

PROBE_BYTES = 256 << 20
"""Read by each thread; several times any cache."""

PROBE_RUNS = 7


def cpu_name() -> str:
    """The processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def read_bandwidth(threads: int) -> float:
    """Bytes a second `threads` threads read together: the best of several runs, in a fresh process."""
    one_thread_each = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, __file__, str(threads)], env=one_thread_each, capture_output=True, text=True, check=True
    )
    return float(done.stdout) * 1e9


def _probe(threads: int) -> float:
    """A dot product of an array with itself reads it once and is bound by memory on any CPU with vectors."""
    arrays = [np.ones(PROBE_BYTES // 4, dtype=np.float32) for _ in range(threads)]
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(PROBE_RUNS):
            began = time.perf_counter()
            list(pool.map(lambda array: np.dot(array, array), arrays))  # NumPy releases the GIL here
            best = max(best, threads * PROBE_BYTES / (time.perf_counter() - began))
    return best


if __name__ == "__main__":
    print(_probe(int(sys.argv[1])) / 1e9)
