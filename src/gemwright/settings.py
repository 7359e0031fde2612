"""Settings read from the environment, once, at the edge; no other module reads it.

GEMWRIGHT_CACHE_DIR   where assembled and packed models are kept (default: gemwright in $XDG_CACHE_HOME or ~/.cache)
GEMWRIGHT_PACKED_GB   disk space for packed models in GB, the least recently used go first; 0 keeps none (default: 20)
GEMWRIGHT_THREADS     threads of the engine, 1 to 512 (default: the CPUs this process may use)
GEMWRIGHT_TARGET      forces one CPU target by name; an unknown or unsupported one is an error (default: the best here)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gemwright.errors import UsageError

MAX_THREADS = 512
DEFAULT_PACKED_GB = 20.0
MAX_PACKED_GB = 1_000_000


@dataclass(frozen=True)
class Settings:
    """Values with their defaults filled in; see the module's docstring for each variable."""

    cache_dir: Path
    packed_bytes: int
    threads: int
    target: str | None


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from `environ` (the process's own by default). Raises UsageError naming the variable and its value."""
    env = os.environ if environ is None else environ
    return Settings(
        cache_dir=_cache_dir(env),
        packed_bytes=_packed_bytes(env.get("GEMWRIGHT_PACKED_GB")),
        threads=_threads(env.get("GEMWRIGHT_THREADS")),
        target=env.get("GEMWRIGHT_TARGET") or None,
    )


def spare_threads_of_blas() -> None:
    """Asks NumPy's OpenBLAS for one thread, unless the user has set their number. Call it before NumPy is imported.

    gemwright multiplies nothing with NumPy. Left alone, OpenBLAS starts a thread per CPU, and those spin for a while,
    on the very CPUs that should load a model.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def check_threads(count: int, source: str) -> int:
    """`count` if it is a possible number of threads; otherwise UsageError naming where it came from."""
    if not 1 <= count <= MAX_THREADS:
        raise UsageError(f"{source} is {count}: the number of threads must be between 1 and {MAX_THREADS}.")
    return count


def _cache_dir(env: Mapping[str, str]) -> Path:
    if own := env.get("GEMWRIGHT_CACHE_DIR"):
        return Path(own).expanduser()
    base = env.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "gemwright"


def _packed_bytes(text: str | None) -> int:
    try:
        gigabytes = float(text) if text else DEFAULT_PACKED_GB
    except ValueError as error:
        raise UsageError(f"GEMWRIGHT_PACKED_GB is {text!r}: not a number.") from error
    if not 0 <= gigabytes <= MAX_PACKED_GB:
        raise UsageError(f"GEMWRIGHT_PACKED_GB is {text}: it must be between 0 and {MAX_PACKED_GB:,}.")
    return int(gigabytes * 1e9)


def _threads(text: str | None) -> int:
    if not text:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    try:
        count = int(text)
    except ValueError as error:
        raise UsageError(f"GEMWRIGHT_THREADS is {text!r}: not a whole number.") from error
    return check_threads(count, "GEMWRIGHT_THREADS")
