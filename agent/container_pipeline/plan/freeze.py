"""When nothing is deployed. Pure: windows and a time in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from container_pipeline.windows import parse, zone_of


def frozen(windows: Sequence[str], now: datetime) -> str:
    """Return the first window that includes ``now``, a time with its zone; "" if none does."""
    for window in map(parse, windows):
        if window.includes(now.astimezone(zone_of(window.zone)).replace(tzinfo=None)):
            return window.text
    return ""
