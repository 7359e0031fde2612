"""Makes sure that SIMDe is there, which `make check-avx512` computes AVX-512 instructions with."""

from __future__ import annotations

import sys
from pathlib import Path

from prepare_python import apt_get

HEADER = Path("/usr/include/simde/x86/avx512.h")
PACKAGE = "libsimde-dev"


def main() -> int:
    """Exit status: 0 when SIMDe is installed, 1 with a sentence on stderr otherwise."""
    if HEADER.is_file() or (apt_get([PACKAGE]) and HEADER.is_file()):
        return 0
    print(f"Missing on this system: {PACKAGE}. Run: sudo apt-get install {PACKAGE}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
