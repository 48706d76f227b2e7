"""The pages that Jenkins archives, in a real browser under Jenkins' policy for them: on a telephone, on a screen, in print."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from container_pipeline.plan import fleet_page, report
from lab.browser import Browser, archive, browser
from real.site import Site
from unit.test_fleet_page import BUILD, DOWN, HOSTILE, NOW, fleet, unhealthy
from unit.test_report import BAD, GOOD, ORIGIN

LONG = {**BAD["error"], "message": HOSTILE + "x" * 300, "details": [HOSTILE, "y" * 500]}
PAGES = {
    "fleet.html": fleet_page.html(fleet(6, 6), [DOWN], NOW, BUILD),
    "large.html": fleet_page.html(fleet(25, 40, ("prod", "staging", "test")), [DOWN], NOW, BUILD),
    "hostile.html": fleet_page.html([unhealthy(code=HOSTILE, server=HOSTILE, version="z" * 200, by=HOSTILE)], [], NOW),
    "report.html": report.html([GOOD, {**BAD, "error": LONG}], ORIGIN),
}
#: Pages each of which has one fault.
FAULTS = {
    "script.html": "<script>document.title = 1</script>",
    "style.html": '<p style="color: red">styled</p>',
    "faint.html": '<p><font color="#aaaaaa">faint</font></p>',
    "wide.html": "<p>" + "w" * 500 + "</p>",
}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Browser, str]]:
    """The browser, and the address of the pages."""
    folder: Path = tmp_path_factory.mktemp("archive")
    for name, text in PAGES.items():
        (folder / name).write_text(text, encoding="utf-8")
    for name, text in FAULTS.items():
        (folder / name).write_text(f"<!DOCTYPE html><title>x</title><body>{text}</body>", encoding="utf-8")
    with browser() as one, archive(folder) as address:
        yield one, address


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_reads_and_breaks_no_policy(seen: tuple[Browser, str], name: str):
    one, address = seen
    for width, media in ((360, "screen"), (1280, "screen"), (700, "print")):
        sight = one.look(address + name, width, media=media)
        assert sight.width <= width, f"{name} needs {sight.width} pixels of {width}"
        assert (sight.complaints, sight.faint) == ([], []), (name, width, media)
        assert all(re.match("https?://[^/]", link) for link in sight.links)
        assert not {"script", "style", "img", "i"} & set(sight.elements)
    assert re.search("[\u4e00-\u9fff]", sight.text)


def test_what_servers_send_is_shown_as_text(seen: tuple[Browser, str]):
    one, address = seen
    assert "<script>alert(1)</script>" in one.look(address + "hostile.html", 1280).text


#: Into a release's record and the log of deploys: elements, escape sequences, Latin-1, and a megabyte in one line.
LIES = r"""
sed -i 's|"by": *"[^"]*"|"by": "<script>alert(1)</script><img src=x> \\u001b[31m"|' "releases/$(head -n 1 releases/.current)/release.json"
echo '#' >>docker-compose.yml
now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
printf '%s|<b onclick=x>\351\033[31m|deploy|<i>2026|ok\n' "$now" >>releases/.log
{ printf '%s|' "$now" && head -c 1000000 /dev/zero | tr '\0' x && printf '|deploy|2026|failed\n'; } >>releases/.log
"""


def test_a_servers_lies_stay_text_on_the_page(seen: tuple[Browser, str], site: Site, tmp_path: Path):
    site.deployed("plain")
    site.sh(LIES)
    page = tmp_path / "fleet.html"
    assert site("fleet", "--code", site.code, "--html", str(page)).code == 0
    assert page.stat().st_size < 50_000
    with archive(tmp_path) as address:
        sight = seen[0].look(address + "fleet.html", 360)
    assert sight.width <= 360
    assert (sight.complaints, sight.faint, sight.links) == ([], [], [])
    assert not {"script", "img", "i"} & set(sight.elements)
    for part in ("<script>alert(1)</script><img src=x>", "<b onclick=x>", "<i>2026", "docker-compose.yml was edited"):
        assert part in sight.text.replace("\u200b", "")


def test_the_browser_finds_each_fault(seen: tuple[Browser, str]):
    one, address = seen
    found = {name: one.look(address + name, 360) for name in FAULTS}
    assert [bool(found[name].complaints) for name in FAULTS] == [True, True, False, False]
    assert [found[name].faint for name in FAULTS] == [[], [], ["faint"], []]
    assert [found[name].width > 360 for name in FAULTS] == [False, False, False, True]
