"""The page of the fleet: what it shows, and what it makes of what servers send."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import cache
from html import unescape

from container_pipeline.commands.server.fleet import _hidden
from container_pipeline.console import Redactor
from container_pipeline.model import Secret
from container_pipeline.plan.deploy import Holding
from container_pipeline.plan.fleet import Attempt, Deployment, Trouble, ordered
from container_pipeline.plan.fleet_page import LABELS, Silent, html
from container_pipeline.plan.page import AMBER, GREEN, GREY, RED
from unit.table import table

NOW = datetime(2026, 11, 27, 15, 30, tzinfo=timezone(timedelta(hours=8)))
BUILD = "https://jenkins.example/job/shop/7/"
HOSTILE = "<script>alert(1)</script><b style='x'>\"'&\033[31m\x00\u202e</td></table>"
DOWN = Silent("web-9", "web-9: no connection", "check that it is up")


@cache
def deploy(ago: timedelta, outcome: str = "ok", action: str = "deploy", by: str = BUILD) -> Attempt:
    return Attempt(f"{(NOW - ago).astimezone(timezone.utc):%Y-%m-%dT%H:%M:%SZ}", by, action, "20261124093015", outcome)


def deployment(**changed: object) -> Deployment:
    """A deployment that is well; ``changed`` are other values of its fields."""
    one = Deployment(
        server="web-1", root="/docker/compose", code="shop", environment="prod", version="20261124093015",
        since="2026-11-24T01:30:20Z", by="jenkins@node", build=BUILD, approved_by="ann",
        releases=("20261124093015",), deploys=(deploy(timedelta(3)),),
    )  # fmt: skip
    return replace(one, **changed)  # type: ignore[arg-type]


def unhealthy(**changed: object) -> Deployment:
    problems = (Trouble("unhealthy", "shop", "shop is unhealthy"),)
    return deployment(**{"status": "problem", "problems": problems, **changed})


def fleet(codes: int, servers: int, environments: tuple[str, ...] = ("prod", "test")) -> list[Deployment]:
    """Many deployments of each state, each deployed once a day."""
    states = ("ok",) * 9 + ("problem", "held", "busy", "unknown", "foreign")
    found = []
    for number in range(codes * servers):
        code, server = divmod(number, servers)
        status = states[number % len(states)]
        one = unhealthy() if status == "problem" else deployment(status=status)
        outcomes = [
            deploy(timedelta(day, hours=code % 24), ("ok", "failed unhealthy")[day % 5 == 4]) for day in range(13)
        ]
        found.append(
            replace(
                one,
                code=f"aglaia-shop-{code}-re",
                server=f"web-{server}.example.net",
                environment=environments[server % len(environments)],
                hold=Holding("ann@desk", "2026-11-26 08:00", "inventory") if status == "held" else None,
                deploys=(*outcomes, deploy(timedelta(hours=2), action="rollback", by="ann@desk")),
            )
        )
    return ordered(found)


def read(page: str) -> str:
    """What a person reads of a page, title and drawings included."""
    return unescape(re.sub(r"<[^>]+>", "", page.replace("<wbr>", "")))


def test_every_label_is_in_both_languages():
    assert all(re.search("[\u4e00-\u9fff]", chinese) for chinese in LABELS.values())
    assert "What needs a look 需要关注" in html([unhealthy()], [], NOW)


def test_problems_and_silent_servers_come_first():
    held = deployment(code="cart", status="held", hold=Holding("ann@desk", "2026-11-26 08:00", "inventory"))
    page = html(ordered([deployment(server="web-2"), held, unhealthy()]), [DOWN], NOW, BUILD)
    text = read(page)
    assert text.index("1 of 3 deployments have a problem · 3 个部署中有 1 个有问题") < text.index("What needs a look")
    places = [text.index(part) for part in ("not read", "shop is unhealthy", "inventory", "What runs where")]
    assert places == sorted(places)
    for part in (
        "web-9: no connection",
        "check that it is up",
        "prod · web-1",
        "since 自 2026-11-24 09:30",
        "approved by 批准人 ann",
    ):
        assert part in text
    assert f'<td bgcolor="{RED}">' in page
    assert f'<td bgcolor="{RED}">' in html([deployment()], [DOWN], NOW)


def test_a_fleet_without_problems_is_green():
    page = html([deployment()], [], NOW)
    assert f'<td bgcolor="{GREEN}">' in page
    assert "✔ 1 deployments, no problem · 1 个部署，没有问题" in read(page)
    assert "What needs a look" not in page
    assert "0 deployments" in read(html([], [], NOW))


@table(
    ("status", "colour", "words"),
    [
        ("ok", GREEN, "✔ ok 正常"),
        ("problem", RED, "✘ problem 有问题"),
        ("unknown", GREY, "? unknown 未知"),
        ("busy", AMBER, "… being deployed 部署中"),
        ("held", AMBER, "! held 已暂停部署"),
        ("foreign", GREY, "– not managed 未纳管"),
        ("none", GREY, "– not deployed 未部署"),
    ],
)
def test_a_state_is_a_colour_and_a_word(status: str, colour: str, words: str):
    page = html([deployment(status=status)], [], NOW)
    assert f'<font color="{colour}"><b>{words}</b></font>' in page.partition("What runs where")[2]


def cells(page: str) -> list[list[str]]:
    """The rows of the table of what runs where."""
    table = page.partition("What runs where")[2].partition("</table>")[0]
    return [[read(cell) for cell in re.findall(r"<td>(.*?)</td>", row)] for row in table.split("<tr>")[1:]]


def test_environments_are_columns_servers_share_a_version():
    page = html([deployment(), deployment(server="web-2"), deployment(environment="test", server="test-1")], [], NOW)
    version = "✔ ok 正常 20261124093015"
    assert cells(page) == [["Code 项目代号", "prod", "test"], ["shop", f"{version}web-1, web-2", f"{version}test-1"]]
    assert f'<a href="{BUILD}">20261124<wbr>093015</a>' in page


def test_many_environments_become_rows():
    page = html([deployment(environment=name) for name in ("a", "b", "c", "d")], [], NOW)
    assert [row[0] for row in cells(page)] == ["shopa", "shopb", "shopc", "shopd"]


def test_one_run_is_one_mark_whatever_servers():
    ran = (
        deploy(timedelta(5), "failed unhealthy"),
        deploy(timedelta(4)),
        deploy(timedelta(1), action="rollback", by="ann"),
    )
    page = html([deployment(deploys=ran), deployment(server="web-2", deploys=ran)], [], NOW)
    text = read(page)
    assert "1 deployed 已部署, 1 failed 失败, 1 rolled back 已回滚" in text
    assert "2026-11-22 15:30 failed 20261124093015: web-1, web-2" in text
    strip = page.partition('fill="#f5f5f5"/>')[2].partition("</td>")[0]
    places = [float(place) for place in re.findall(r'<svg x="([0-9.]+)%"', strip)]
    assert places == sorted(places)
    assert len(places) == 3
    assert 0 <= places[0] <= places[-1] <= 100
    assert strip.count(f'<a href="{BUILD}">') == 2


def test_older_and_other_attempts_are_left_out():
    others = (
        deploy(timedelta(15)),
        deploy(timedelta(-1)),
        deploy(timedelta(1), action="up"),
        deploy(timedelta(1), "overridden why"),
    )
    page = html([deployment(deploys=(*others, Attempt("when?", "x", "deploy", "1", "ok")))], [], NOW)
    assert "Deploys of the last 14 days · 最近 14 天的部署</h2>\n<p>none 无</p>" in page
    assert "Latest deploys" not in page


def test_links_lead_to_the_web_alone():
    for address in ("javascript:alert(1)", "data:text/html,x", "//evil.example", "HTTPS:x"):
        page = html([unhealthy(build=address, deploys=(deploy(timedelta(1), by=address),))], [], NOW, address)
        assert "href=" not in page
    assert 'href="https://a.example/&quot;&gt;&lt;b&gt;"' in html([unhealthy(build='https://a.example/"><b>')], [], NOW)


def test_hostile_text_stays_text_and_short():
    for text in (HOSTILE, HOSTILE * 20_000):
        one = unhealthy(
            server=text, code=text, environment=text, version=text, since=text, by=text, build=text, approved_by=text,
            deploys=(Attempt(deploy(timedelta(1)).when, text, "deploy", text, "ok"),),
        )  # fmt: skip
        one = replace(one, problems=(Trouble("edited", text, text),), hold=Holding(text, text, text), lock=text)
        page = html([one], [Silent(text, text, text)], NOW, text)
        assert len(page) < 60_000
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", page)
        assert not re.search(r"<script|<[^>]*\bstyle=|<img|<link|<style|\bon\w+=\"", page)
        assert page.count("<table") == page.count("</table>") == 5


def test_a_large_fleet_stays_below_a_megabyte():
    for environments in (("",), ("a", "b", "c", "d")):
        page = html(fleet(25, 40, environments), [DOWN], NOW)
        assert len(page.encode()) < 1_000_000
    page = html(
        [unhealthy(code=f"shop-{number}", problems=(Trouble("x", "", "x" * 200),) * 9) for number in range(1000)],
        [],
        NOW,
    )
    assert len(page.encode()) < 1_000_000
    assert "and 800 more · 另有 800 个" in page
    assert page.count("and 4 more · 另有 4 个") == 200


def test_a_secret_is_hidden_before_html_escapes_it():
    redact = Redactor()
    redact.add([Secret('p"w<sécret>&7')])
    one = unhealthy(by='it was p"w<sécret>&7', build="", deploys=(deploy(timedelta(1), by='p"w<sécret>&7'),))
    page = html(_hidden([one], redact), [], NOW)
    assert "it was ***" in read(page)
    assert "cret" not in page
