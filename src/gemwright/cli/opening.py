"""What commands do before they answer: choose the sampling, open the model, say what happens meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from gemwright.cli.parser import Context
from gemwright.messages import Sampling
from gemwright.settings import check_threads

if TYPE_CHECKING:
    from gemwright.model import Model

Loader: TypeAlias = "Callable[..., Model]"
"""Called like `gemwright.load`."""


def open_model(
    context: Context,
    name: str | None,
    *,
    precision: str = "default",
    threads: int | None = None,
    context_tokens: int | None = None,
) -> Model:
    """The model called or stored at `name`. `context.load` replaces the loader where a test set it."""
    if threads is not None:
        check_threads(threads, "--threads")
    load: Loader = context.load or _default_loader()
    return load(name, precision=precision, threads=threads, context_tokens=context_tokens)


def sampling_from(
    *,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    seed: int | None = None,
    stop: list[str] | None = None,
) -> Sampling:
    """Gemma's recommended sampling with what was asked for."""
    given: dict[str, Any] = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
    asked = {name: value for name, value in given.items() if value is not None}
    return replace(Sampling(), **asked, seed=seed, stop=tuple(stop or ()))


def _default_loader() -> Loader:
    from gemwright.loading import load

    return load
