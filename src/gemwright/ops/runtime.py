"""Which CPU target runs and on how many threads: process-wide, because the kernels and their threads are."""

from __future__ import annotations

from gemwright import _native
from gemwright.errors import TargetError
from gemwright.settings import Settings, check_threads


def configure(settings: Settings) -> None:
    """Applies the threads and the CPU target of `settings`. Raises TargetError, UsageError."""
    set_threads(settings.threads)
    if settings.target is not None:
        use_target(settings.target)


def targets() -> dict[str, bool]:
    """Every CPU target there is, best last, and whether this CPU can run it."""
    return dict(_native.targets())


def active_target() -> str:
    """The CPU target in use."""
    return _native.active_target()


def use_target(name: str) -> None:
    """Uses the target `name` from now on. Raises TargetError if it does not exist or cannot run here."""
    try:
        _native.use_target(name)
    except ValueError as error:
        usable = ", ".join(target for target, supported in targets().items() if supported)
        raise TargetError(f"{error}.", hint=f"Usable here: {usable}.") from error


def threads() -> int:
    """Threads the kernels use, the calling one included."""
    return _native.threads()


def set_threads(count: int) -> None:
    """Uses `count` threads from now on, 1 to 512."""
    _native.set_threads(check_threads(count, "threads"))
