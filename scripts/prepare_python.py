"""Creates the virtual environment named by the one argument, or says in a sentence what the system lacks for it.

Standard library only: it runs before anything is installed. On Debian and Ubuntu the parts of Python that build
extensions and environments are packages of their own; as root they are installed, otherwise the command is shown.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

OLDEST = (3, 10)


def main() -> int:
    """Exit status: 0 when the environment exists, 1 with a sentence on stderr otherwise."""
    if sys.version_info < OLDEST:
        return _fail(f"Python {sys.version.split()[0]} is too old: gemwright needs 3.10 or newer. Try `make PYTHON=…`.")
    packages = missing_packages()
    if packages and not install(packages):
        return _fail(f"Missing on this system: {' '.join(packages)}. Run: sudo apt-get install {' '.join(packages)}")
    return subprocess.run([sys.executable, "-m", "venv", "--clear", sys.argv[1]], check=False).returncode


def missing_packages() -> list[str]:
    """Names, as Debian calls them, of what this Python cannot do yet."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    missing = []
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        missing.append(f"python{version}-venv")
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        missing.append(f"python{version}-dev")
    if not any(shutil.which(name) for name in (os.environ.get("CXX", "c++"), "g++", "clang++")):
        missing.append("g++")
    return missing


def install(packages: list[str]) -> bool:
    """True when `packages` were installed and nothing is missing any more."""
    return apt_get(packages) and not missing_packages()


def apt_get(packages: list[str]) -> bool:
    """True when `packages` were installed; only tried as root on a system with apt-get."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    print(f"Installing {' '.join(packages)} (as root, with apt-get)", flush=True)
    quiet = {"env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, "stdout": subprocess.DEVNULL, "check": False}
    subprocess.run(["apt-get", "update", "-qq"], **quiet)
    done = subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], **quiet)
    return done.returncode == 0


def _fail(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
