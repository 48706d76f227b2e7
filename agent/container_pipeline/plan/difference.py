"""Differences between two texts, for people."""

from __future__ import annotations

import difflib


def difference(name: str, old: str, new: str) -> str:
    """Return a unified diff, "" for equal texts."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), f"{name} (is)", f"{name} (becomes)", lineterm="")
    return "\n".join(lines)
