"""The difference of two texts as people read it."""

from __future__ import annotations

import difflib


def difference(name: str, old: str, new: str) -> str:
    """Return a unified difference, "" where there is none."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), f"{name} (is)", f"{name} (becomes)", lineterm="")
    return "\n".join(lines)
