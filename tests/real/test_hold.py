"""A hold stops deploys of a code until it is resumed; a rollback is never stopped."""

from __future__ import annotations

import datetime

import pytest

from lab.chat import chat
from real.site import Site


def test_a_hold_stops_deploys_but_no_rollback(either: Site):
    site = either
    first, second = site.deployed("plain"), site.deployed("plain")
    with chat() as robot:
        site.set("CONTAINER_PIPELINE_WEBHOOK", robot.address)
        held = site("hold", "moving | the 'database'")
        assert held.code == 0, held.err
        assert "Reason*: moving | the 'database'" in robot.text
        site.unset("CONTAINER_PIPELINE_WEBHOOK")
    before = (site.files(), site.container(), site.sh("cat releases/.current releases/.log"))
    for command in (("deploy", "--version", first), ("deploy", "--version", first, "--wait", "1"), ("up",)):
        done = site(*command, "--json")
        assert (done.code, done.result["error"]["category"]) == (5, "hold"), done.err
        (server,) = done.result["servers"]
        assert server["status"] == "held"
        assert "held by " in server["error"]
        assert "moving | the 'database'; nothing was changed" in server["error"]
    assert (site.files(), site.container(), site.sh("cat releases/.current releases/.log")) == before
    assert (site.left_over(), site.lock_is_free()) == ("", True)
    status = site("status", "--json")
    hold = status.result["servers"][0]["hold"]
    assert (hold["reason"], bool(hold["by"]), hold["since"][:2]) == ("moving | the 'database'", True, "20")
    assert "held by " in site("status").out
    assert site("rollback").code == 0
    assert site.running() == first
    assert site("deploy", "--version", second, "--override", "hot | fix 7").code == 0
    assert site.running() == second
    assert site("up", "--override", "hot fix 8").code == 0
    history = site("history").out
    assert "override: hot / fix 7" in history
    assert "override: hot fix 8" in history
    assert "resumed; it was held by" in site("resume").err
    assert "nobody held it" in site("resume").err
    assert site("status", "--json").result["servers"][0]["hold"] == {}
    assert site("deploy", "--version", first).code == 0


def test_a_hold_precedes_the_first_deploy(site: Site):
    assert site("hold", "not yet").code == 0
    assert "not yet" in site("status").out
    done = site("deploy", "--version", site.publish("plain"))
    assert done.code == 5
    assert "not yet" in done.err
    assert site.sh("ls releases") == ""
    assert site("resume").code == 0
    assert site("resume", "--server", "server-2").code == 1


def test_a_freeze_stops_deploys_but_no_rollback(site: Site):
    first, second = site.deployed("plain"), site.deployed("plain")
    today = datetime.date.today()
    days = f"{today - datetime.timedelta(days=1)}..{today + datetime.timedelta(days=1)}"
    site.set("CONTAINER_PIPELINE_DEFAULT_FREEZE", days)
    site.write("container-pipeline.yml", "freeze: []\n")
    before = (site.files(), site.container(), site.sh("cat releases/.current releases/.log"))
    for command in (("deploy", "--version", first), ("up",), ("ship",)):
        done = site(*command, "--json")
        assert (done.code, done.result["error"]["category"]) == (5, "freeze"), done.err
        assert done.result["error"]["message"] == f"frozen: {days}; nothing was changed"
    assert (site.files(), site.container(), site.sh("cat releases/.current releases/.log")) == before
    dry = site("deploy", "--version", first, "--dry-run")
    assert (dry.code, f"frozen: {days}" in dry.err) == (0, True)
    assert site("rollback").code == 0
    assert site.running() == first
    assert site("deploy", "--version", second, "--override", "hot fix 7").code == 0
    assert site.running() == second
    assert "override: hot fix 7" in site("history").out


@pytest.mark.parametrize("reason", ["", " ", "a\nb", "x" * 301, "\x1b[31m"])
def test_a_reason_is_one_printable_line(site: Site, reason: str):
    for command in (("hold", reason), ("deploy", "--override", reason), ("up", "--override", reason)):
        done = site(*command)
        assert done.code == 2
        assert "a reason is one line of at most 300 characters" in done.err
