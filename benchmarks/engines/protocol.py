"""What an engine's driver is asked and offers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rows import Work


@dataclass(frozen=True)
class Job:
    """A row's work, with the model's file and the number of threads filled in."""

    work: Work
    model: Path
    threads: int
    target: str | None


class Engine(Protocol):
    """What can be measured about an engine."""

    def measure(self, job: Job) -> float:
        """The figure, in the unit of the work. Raises Failed."""

    def per_token(self, work: Work) -> Mapping[str, float]:
        """What a token of the last measurement read and multiplied (`gemwright bench --json`); empty if not known."""

    def about(self) -> dict[str, Any]:
        """Version, build and whatever else the engine says of itself, as far as it has been asked."""
