"""`python -m gemwright` is `gemwright`."""

from __future__ import annotations

from gemwright.cli import main

main()
