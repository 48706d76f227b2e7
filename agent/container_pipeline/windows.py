"""Windows of time, by the clock on the wall of their zone.

A window is ``Fri 18:00-Mon 08:00`` (every week), ``22:00-06:00`` (every night), ``Sat-Sun`` (whole days), ``2027-02-06..2027-02-14``
(whole days, both included) or ``2027-02-06 18:00..2027-02-14 08:00``; a time zone such as ``Asia/Shanghai`` may follow. Its end does not
belong to it. Where clocks go back, an hour that comes twice is in the window both times.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any

from container_pipeline.errors import SettingsError
from container_pipeline.i18n import _

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = f"(?:{'|'.join(DAYS)})"
_TIME = r"(?:[01]?[0-9]|2[0-3]):[0-5][0-9]|24:00"
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_ZONE = r"(?:\s+(?P<zone>[A-Za-z][A-Za-z0-9_+/-]*))?"
_WEEKLY = rf"(?i:(?P<from_day>{_DAY})?\s*(?P<from>{_TIME})?\s*-\s*(?P<to_day>{_DAY})?\s*(?P<to>{_TIME})?){_ZONE}"
_DATES = rf"(?P<from_date>{_DATE})(?:[ T](?P<from>{_TIME}))?(?:\s*\.\.\s*(?P<to_date>{_DATE})(?:[ T](?P<to>{_TIME}))?)?{_ZONE}"
#: Both, for Java and without groups: what the Jenkins library checks before it takes a node.
PATTERN = re.sub(r"\(\?P<\w+>", "(?:", rf"\s*(?:{_DATES}|{_WEEKLY})\s*")
_MINUTES_A_DAY = 24 * 60
_MINUTES_A_WEEK = 7 * _MINUTES_A_DAY


@dataclass(frozen=True)
class Window:
    """``start`` and ``end`` are minutes of a week (or of a day, ``daily``), or moments on the wall's clock."""

    text: str
    start: Any
    end: Any
    daily: bool = False
    zone: str = ""

    def includes(self, wall: datetime) -> bool:
        """Return whether a moment on the clock of its zone is in the window."""
        minute = wall.hour * 60 + wall.minute + (0 if self.daily else wall.weekday() * _MINUTES_A_DAY)
        now = wall if isinstance(self.start, datetime) else minute
        if self.start < self.end:
            return bool(self.start <= now < self.end)
        return bool(now >= self.start or now < self.end)


def parse(text: str) -> Window:
    """Return the window that ``text`` describes; raises SettingsError if it describes none."""
    text = " ".join(text.split())
    dates, weekly = re.fullmatch(_DATES, text), re.fullmatch(_WEEKLY, text)
    try:
        if dates:
            return _of_dates(text, dates)
        if weekly and bool(weekly["from_day"]) == bool(weekly["to_day"]) and (weekly["from_day"] or weekly["from"]):
            return _of_a_week(text, weekly)
    except ValueError:
        pass
    raise SettingsError(
        _("{text!r} is not a window of time", text=text),
        _(
            "write one such as `Fri 18:00-Mon 08:00`, `22:00-06:00`, `Sat-Sun` or `2027-02-06..2027-02-14`, and a time zone"
        ),
    )


def frozen(windows: Sequence[str], now: datetime) -> str:
    """Return the first window that includes ``now``, a time with its zone; "" if none does."""
    for window in map(parse, windows):
        if window.includes(now.astimezone(zone_of(window.zone)).replace(tzinfo=None)):
            return window.text
    return ""


def _of_dates(text: str, found: re.Match[str]) -> Window:
    start = _moment(found["from_date"], found["from"] or "0:00")
    end = _moment(found["to_date"] or found["from_date"], found["to"] or "24:00")
    if not start < end:
        raise ValueError
    return Window(text, start, end, zone=found["zone"] or "")


def _moment(day: str, at: str) -> datetime:
    return datetime.combine(date.fromisoformat(day), time()) + timedelta(minutes=_minutes(at))


def _of_a_week(text: str, found: re.Match[str]) -> Window:
    daily, zone = not found["from_day"], found["zone"] or ""
    if daily and not (found["from"] and found["to"]):
        raise ValueError
    round_ = _MINUTES_A_DAY if daily else _MINUTES_A_WEEK
    start = (_day(found["from_day"]) + _minutes(found["from"] or "0:00")) % round_
    end = (_day(found["to_day"]) + _minutes(found["to"] or "24:00")) % round_
    if start == end:
        # It would be always, or never; nobody can say which.
        raise ValueError
    return Window(text, start, end, daily, zone)


def _day(name: str | None) -> int:
    return DAYS.index(name.lower()) * _MINUTES_A_DAY if name else 0


def _minutes(at: str) -> int:
    hours, minutes = at.split(":")
    return int(hours) * 60 + int(minutes)


def zone_of(name: str) -> tzinfo | None:
    """Return a time zone from the system's data, None for the machine's own; raises SettingsError where it is unknown."""
    if not name:
        return None
    import zoneinfo

    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        pass
    if not zoneinfo.available_timezones():
        raise SettingsError(
            _("this machine has no time zone data, so {name} cannot be used", name=name),
            _("install it (Debian and Ubuntu: apt-get install tzdata)"),
        )
    raise SettingsError(
        _("there is no time zone {name}", name=name), _("write a name of the time zone database, such as Asia/Shanghai")
    )
