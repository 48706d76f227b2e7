"""Freeze windows: a table of moments, by the clock of a zone; and what is refused."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from container_pipeline.errors import SettingsError
from container_pipeline.settings import load
from container_pipeline.windows import frozen, parse
from unit.table import table

WEEKEND, NIGHT, HOLIDAY = "Fri 18:00-Mon 08:00", "22:00-06:00", "2027-02-06..2027-02-14"


def moment(text: str) -> datetime:
    """A moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


#: A window, a moment in UTC, and whether it is in the window. 2026-11-27 is a Friday.
MOMENTS = [
    # A week's end, which goes round the week.
    (f"{WEEKEND} UTC", "2026-11-27 17:59:59", False),
    (f"{WEEKEND} UTC", "2026-11-27 18:00:00", True),
    (f"{WEEKEND} UTC", "2026-11-28 00:00:00", True),
    (f"{WEEKEND} UTC", "2026-11-30 07:59:59", True),
    (f"{WEEKEND} UTC", "2026-11-30 08:00:00", False),
    ("fri 18:00 - mon 8:00 UTC", "2026-11-29 12:00:00", True),
    # The end of a year is no end of a week.
    (f"{WEEKEND} UTC", "2027-01-01 18:00:00", True),
    # Over midnight, every day.
    (f"{NIGHT} UTC", "2026-11-27 21:59:00", False),
    (f"{NIGHT} UTC", "2026-11-27 22:00:00", True),
    (f"{NIGHT} UTC", "2026-11-28 00:00:00", True),
    (f"{NIGHT} UTC", "2026-11-28 05:59:59", True),
    (f"{NIGHT} UTC", "2026-11-28 06:00:00", False),
    ("09:00-17:00 UTC", "2026-11-28 12:00:00", True),
    ("22:00-24:00 UTC", "2026-11-28 23:59:59", True),
    ("22:00-24:00 UTC", "2026-11-29 00:00:00", False),
    # Whole days.
    ("Sat-Sun UTC", "2026-11-27 23:59:59", False),
    ("Sat-Sun UTC", "2026-11-28 00:00:00", True),
    ("Sat-Sun UTC", "2026-11-29 23:59:59", True),
    ("Sat-Sun UTC", "2026-11-30 00:00:00", False),
    ("Wed-Wed UTC", "2026-11-25 23:59:00", True),
    # Dates, both included; a single one; with hours.
    (f"{HOLIDAY} UTC", "2027-02-05 23:59:59", False),
    (f"{HOLIDAY} UTC", "2027-02-06 00:00:00", True),
    (f"{HOLIDAY} UTC", "2027-02-14 23:59:59", True),
    (f"{HOLIDAY} UTC", "2027-02-15 00:00:00", False),
    ("2026-12-24 UTC", "2026-12-24 23:59:59", True),
    ("2026-12-24 UTC", "2026-12-25 00:00:00", False),
    ("2026-12-24 18:00..2026-12-27 06:00 UTC", "2026-12-24 17:59:00", False),
    ("2026-12-24 18:00..2026-12-27 06:00 UTC", "2026-12-27 05:59:00", True),
    # Another zone: 18:00 in Shanghai is 10:00 in UTC, and its Monday begins on Sunday.
    (f"{WEEKEND} Asia/Shanghai", "2026-11-27 09:59:59", False),
    (f"{WEEKEND} Asia/Shanghai", "2026-11-27 10:00:00", True),
    (f"{WEEKEND} Asia/Shanghai", "2026-11-30 00:00:00", False),
    (f"{HOLIDAY} Asia/Shanghai", "2027-02-05 16:00:00", True),
    (f"{HOLIDAY} Asia/Shanghai", "2027-02-14 16:00:00", False),
    # 08:00 in Berlin is 07:00 in UTC in winter, and 06:00 in summer: clocks changed on that Sunday.
    (f"{WEEKEND} Europe/Berlin", "2026-03-30 05:59:59", True),
    (f"{WEEKEND} Europe/Berlin", "2026-03-30 06:00:00", False),
    (f"{WEEKEND} Europe/Berlin", "2026-10-26 06:59:59", True),
    (f"{WEEKEND} Europe/Berlin", "2026-10-26 07:00:00", False),
    # 02:00 to 03:00 is not there in spring, and there twice in autumn.
    ("Sun 02:00-Sun 03:00 Europe/Berlin", "2026-03-29 00:59:59", False),
    ("Sun 02:00-Sun 03:00 Europe/Berlin", "2026-03-29 01:00:00", False),
    ("Sun 02:00-Sun 03:30 Europe/Berlin", "2026-03-29 01:00:00", True),
    ("Sun 02:00-Sun 03:00 Europe/Berlin", "2026-10-25 00:30:00", True),
    ("Sun 02:00-Sun 03:00 Europe/Berlin", "2026-10-25 01:30:00", True),
    ("Sun 02:00-Sun 03:00 Europe/Berlin", "2026-10-25 02:00:00", False),
]


@table(("window", "at", "expected"), MOMENTS)
def test_a_window_includes_its_moments(window, at, expected):
    assert (frozen((window,), moment(at)) == " ".join(window.split())) is expected


def test_the_first_of_several_windows_is_named():
    windows = (f"{NIGHT} UTC", f"{WEEKEND} UTC", "Sat-Sun UTC")
    assert frozen(windows, moment("2026-11-28 12:00:00")) == f"{WEEKEND} UTC"
    assert frozen(windows, moment("2026-11-25 12:00:00")) == ""


def test_without_a_zone_the_machines_own_counts(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        assert frozen((WEEKEND,), moment("2026-11-27 10:00:00"))
        assert not frozen((WEEKEND,), moment("2026-11-27 09:59:00"))
    finally:
        monkeypatch.undo()
        time.tzset()


@table(
    "text",
    [
        "soon", "Fri", "Fri 18:00", "Fri 18:00-08:00", "18:00-Mon 08:00", "Fri 25:00-Mon 08:00", "Fri 18:60-Mon 08:00",
        "-", "00:00-24:00", "08:00-08:00", "Mon-Sun", "2027-02-30", "2027-02-14..2027-02-06", "2027-02-06..soon",
        "Fri 18:00-Mon 08:00 Asia/Shanghai now", "Fri 18:00-Mon 08:00 +08:00", "18:00-",
    ],
)  # fmt: skip
def test_what_is_no_window_is_refused(text):
    with pytest.raises(SettingsError, match="is not a window of time"):
        parse(text)


@table("zone", ["Mars/Olympus", "Europe", "x", "../../etc/passwd"])
def test_an_unknown_zone_is_refused_by_name(tmp_path, zone):
    refused = pytest.raises(SettingsError, match=r"there is no time zone|is not a window of time")
    with refused as caught:
        settings(tmp_path, f"freeze: ['{WEEKEND} {zone}']\n")
    assert zone in caught.value.message


def test_a_machine_without_zone_data_says_so(monkeypatch, tmp_path):
    import importlib
    import sys
    import zoneinfo

    monkeypatch.setattr(zoneinfo, "TZPATH", ())
    monkeypatch.setitem(sys.modules, "tzdata", None)
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath(to=[str(tmp_path)])
    zoneinfo.ZoneInfo.clear_cache()
    try:
        with pytest.raises(SettingsError, match="this machine has no time zone data, so Asia/Shanghai") as caught:
            settings(tmp_path, f"freeze: {WEEKEND} Asia/Shanghai\n")
        assert "tzdata" in caught.value.hint
        # Without a zone there is nothing to look up.
        assert settings(tmp_path, f"freeze: {WEEKEND}\n").values.freeze == (WEEKEND,)
    finally:
        zoneinfo.reset_tzpath()
        importlib.reload(zoneinfo) if before and not zoneinfo.TZPATH else None


def settings(folder: Path, text: str, environ: dict[str, str] | None = None, environment: str = ""):
    (folder / "container-pipeline.yml").write_text(f"code: a-b\n{text}")
    return load(folder, {}, environment, environ or {})


def test_windows_of_every_source_add_up(tmp_path):
    text = f"freeze: {NIGHT}\nenvironments: {{prod: {{freeze: [2027-01-01, '{HOLIDAY}']}}, test: {{}}}}\n"
    environ = {
        "CONTAINER_PIPELINE_DEFAULT_FREEZE": f"{WEEKEND} UTC, Sat-Sun",
        "CONTAINER_PIPELINE_FREEZE": f'["{WEEKEND}"]',
    }
    site, project = (f"{WEEKEND} UTC", "Sat-Sun"), (NIGHT, WEEKEND)
    assert settings(tmp_path, text, environ).values.freeze == site + project
    assert settings(tmp_path, text, environ, "test").values.freeze == site + project
    assert settings(tmp_path, text, environ, "prod").values.freeze == (*site, *project, "2027-01-01", HOLIDAY)
    # No project lifts the site's.
    for text in ("freeze: []\n", "freeze: ''\n", ""):
        assert settings(tmp_path, text, {"CONTAINER_PIPELINE_DEFAULT_FREEZE": WEEKEND}).values.freeze == (WEEKEND,)
