"""Builds the native test program (native/tests) in one of its ways and runs it.

    python scripts/native_tests.py host        for this machine, as it is shipped
    python scripts/native_tests.py sanitizers  with AddressSanitizer and UBSan, then with ThreadSanitizer
    python scripts/native_tests.py neon        for ARM, under QEMU, on a CPU of each kind our targets know

Everything is built in build/native-*. The exit status is that of the first run that failed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from prepare_python import apt_get

ROOT = Path(__file__).resolve().parents[1]
BUILDS = {
    "host": (),
    "address": ("-DGEMWRIGHT_SANITIZE=address,undefined,float-cast-overflow",),
    "thread": ("-DGEMWRIGHT_SANITIZE=thread",),
    "aarch64": (
        "-DCMAKE_SYSTEM_NAME=Linux",
        "-DCMAKE_SYSTEM_PROCESSOR=aarch64",
        "-DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++",
        "-DCMAKE_EXE_LINKER_FLAGS=-static",
    ),
}
# What emulates which CPU, and the target that must be chosen there.
ARM_CPUS = {"cortex-a72": "neon", "neoverse-n1": "neondot", "max": "neondot"}
# Debian packages that takes, and a file of each.
ARM_PACKAGES = {
    "qemu-user": Path("/usr/bin/qemu-aarch64"),
    "g++-aarch64-linux-gnu": Path("/usr/bin/aarch64-linux-gnu-g++"),
    "libc6-dev-arm64-cross": Path("/usr/aarch64-linux-gnu/include/stdio.h"),
}
# Neither QEMU's user emulation nor ThreadSanitizer can start threads in the forked child of a process with several.
NO_FORK = ("--skip", "forked child")
# The ThreadSanitizer of GCC 12 cannot run where the kernel randomises more bits of an address than it knows of.
FIXED_ADDRESSES = ("setarch", "-R")


def main() -> int:
    """Exit status: 0 when all runs passed."""
    match sys.argv[1:]:
        case ["host"]:
            return run([build("host")])
        case ["sanitizers"]:
            return run([build("address")]) or run([*FIXED_ADDRESSES, build("thread"), *NO_FORK])
        case ["neon"]:
            return run_on_arm()
    print(__doc__, file=sys.stderr)
    return 2


def run_on_arm() -> int:
    """Installs what is missing for it, or says in a sentence what that is."""
    if missing_packages():
        apt_get(missing_packages())
    if missing := " ".join(missing_packages()):
        print(f"Missing on this system: {missing}. Run: sudo apt-get install {missing}", file=sys.stderr)
        return 1
    program = build("aarch64")
    return next((status for cpu in ARM_CPUS if (status := run(on_arm(cpu, program)))), 0)


def missing_packages() -> list[str]:
    """The packages this system lacks for ARM."""
    return [package for package, file in ARM_PACKAGES.items() if not file.exists()]


def build(way: str) -> Path:
    """The test program, built in one of the ways of BUILDS. Raises CalledProcessError when that fails."""
    folder = ROOT / "build" / f"native-{way}"
    beside = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    cmake = shutil.which("cmake", path=beside["PATH"]) or "cmake"
    options = ("-G", "Ninja", "-DGEMWRIGHT_NATIVE_TESTS=ON", "--log-level=WARNING", *BUILDS[way])
    subprocess.run([cmake, "-S", ROOT, "-B", folder, *options], env=beside, stdout=subprocess.DEVNULL, check=True)
    subprocess.run([cmake, "--build", folder, "--", "--quiet"], env=beside, check=True)
    return folder / "native" / "tests" / "native_tests"


def on_arm(cpu: str, program: Path) -> list[str | Path]:
    """The command that runs `program` as if on `cpu`."""
    return ["qemu-aarch64", "-cpu", cpu, program, *NO_FORK]


def run(command: Sequence[str | Path]) -> int:
    """Exit status of `command`, which is shown first."""
    print("·", *command, flush=True)
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
