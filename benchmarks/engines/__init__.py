"""The engines that are compared, each driven through its own command line, one process per measurement."""

from engines.gemwright import Gemwright
from engines.llamacpp import LlamaCpp
from engines.protocol import Engine, Job
from engines.venv_peer import VenvPeer

__all__ = ["Engine", "Gemwright", "Job", "LlamaCpp", "VenvPeer"]
