"""What this machine is and can do at best: CPU name, memory read bandwidth, int8 multiplications.

python benchmarks/machine.py 2          measures with 2 threads and prints JSON
python benchmarks/machine.py 2 avx2     the same with the instructions of that CPU target
"""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

from processes import last_json

from gemwright import ops


def cpu_name() -> str:
    """The processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def measured_limits(threads: int, target: str | None) -> dict[str, float]:
    """Bytes read and int8 multiplications a second, in a fresh process. Raises Failed."""
    found: dict[str, float] = last_json([sys.executable, __file__, str(threads), *([target] if target else [])])
    return found


def _probe(threads: int, target: str | None) -> dict[str, float]:
    ops.set_threads(threads)
    if target:
        ops.use_target(target)
    return {
        "read_bytes_per_s": ops.read_bytes_per_second(),
        "multiplications_per_s": ops.multiplications_per_second(),
    }


if __name__ == "__main__":
    print(json.dumps(_probe(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)))
