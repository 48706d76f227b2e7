"""A hold stops deploys of a code until it is resumed; a rollback is never stopped."""

from __future__ import annotations

import datetime

from lab.chat import chat
from real.site import Site


def state(site: Site) -> tuple[object, ...]:
    return site.files(), site.container(), site.sh("cat releases/.current releases/.log")


def test_hold_and_freeze_stop_deploys_but_no_rollback(either: Site):
    site = either
    # A hold may come before the first deploy.
    assert site("hold", "not yet").code == 0
    assert "not yet" in site("status").out
    first, second = site.publish("plain"), site.publish("plain")
    done = site("deploy", "--version", first)
    assert (done.code, "not yet" in done.err, site.sh("ls releases")) == (5, True, "")
    assert site("resume").code == 0
    for version in (first, second):
        assert site("deploy", "--version", version).code == 0
    with chat() as robot:
        site.set("CONTAINER_PIPELINE_WEBHOOK", robot.address)
        held = site("hold", "moving | the 'database'")
        assert held.code == 0, held.err
        assert "Reason*: moving | the 'database'" in robot.text
        site.unset("CONTAINER_PIPELINE_WEBHOOK")
    before = state(site)
    for command in (("deploy", "--version", first), ("deploy", "--version", first, "--wait", "1"), ("up",)):
        done = site(*command, "--json")
        assert (done.code, done.result["error"]["category"]) == (5, "hold"), done.err
        (server,) = done.result["servers"]
        assert server["status"] == "held"
        assert "held by " in server["error"]
        assert "moving | the 'database'; nothing was changed" in server["error"]
    assert state(site) == before
    assert (site.left_over(), site.lock_is_free()) == ("", True)
    hold = site("status", "--json").result["servers"][0]["hold"]
    assert (hold["reason"], bool(hold["by"]), hold["since"][:2]) == ("moving | the 'database'", True, "20")
    assert "held by " in site("status").out
    # A freeze that a site's default sets holds in each project, and needs no look at a server.
    today = datetime.date.today()
    days = f"{today - datetime.timedelta(days=1)}..{today + datetime.timedelta(days=1)}"
    site.set("CONTAINER_PIPELINE_DEFAULT_FREEZE", days)
    site.write("container-pipeline.yml", "freeze: []\n")
    for command in (("deploy", "--version", first), ("up",), ("ship",)):
        done = site(*command, "--json")
        assert (done.code, done.result["error"]["category"]) == (5, "freeze"), done.err
        assert done.result["error"]["message"] == f"frozen: {days}; nothing was changed"
    assert state(site) == before
    dry = site("deploy", "--version", first, "--dry-run")
    assert (dry.code, f"frozen: {days}" in dry.err) == (0, True)
    # Neither stops a rollback, and a reason overrides both.
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
    assert site("resume", "--server", "nowhere").code == 1


def test_a_reason_is_one_printable_line(site: Site):
    for reason in ("", " ", "a\nb", "x" * 301, "\x1b[31m"):
        for command in (("hold", reason), ("deploy", "--override", reason), ("up", "--override", reason)):
            done = site(*command)
            assert done.code == 2
            assert "a reason is one line of at most 300 characters" in done.err
