"""Names and values out of a file, as they may stand in a message."""

from __future__ import annotations

_LONGEST = 80


def quoted(value: object) -> str:
    """`value` in quotes, control characters escaped, and cut where it is long: a file may hold anything."""
    if isinstance(value, str) and len(value) > _LONGEST:
        return f"{value[:_LONGEST]!r}… ({len(value):,} characters)"
    text = repr(value)
    return text if len(text) <= _LONGEST or isinstance(value, str) else f"{text[:_LONGEST]}…"
