"""What a deploy by hand tells a chat, and that its result never depends on the chat."""

from __future__ import annotations

import subprocess

from lab.chat import chat
from real.site import Site


def commit(site: Site, subject: str) -> str:
    def git(*words: str) -> str:
        names = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]
        command = ["git", "-C", str(site.folder), *names, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", subject)
    site.write("changed", subject)
    git("add", "changed")
    git("commit", "-q", "--amend", "--no-edit")
    return git("rev-parse", "HEAD")


def test_a_deploy_tells_chat_its_new_commits(site: Site):
    password = site.registry.password
    with chat("dingtalk", "SEC-canary") as robot:
        site.set("CONTAINER_PIPELINE_WEBHOOK", robot.address)
        site.set("CONTAINER_PIPELINE_WEBHOOK_SECRET", "SEC-canary")
        site.write("container-pipeline.yml", "notify: {format: dingtalk}\n")
        first, second = site.publish(), site.publish()
        site.built(first, revision=commit(site, "Open the shop"))
        assert site("deploy").code == 0
        assert "Open the shop" not in robot.text
        commit(site, f"Log in with {password}")
        site.built(second, revision=commit(site, "Add a cart"))
        done = site("deploy", "--json")
        assert done.code == 0, done.err
        assert [one["subject"] for one in done.result["commits"]] == ["Add a cart", "Log in with ***"]
        text = robot.told[-1]["markdown"]["text"]
        for part in (
            f"✔ {site.code} {second}: deploy",
            f"**Before**: {first}",
            "- Add a cart (Ann)",
            "Log in with ***",
        ):
            assert part in text
        assert "Open the shop" not in text
        assert site("rollback").code == 0
        assert f"✔ {site.code} {first}: rollback" in robot.text
        assert password not in str(robot.told)
        assert (len(robot.told), robot.refused) == (3, 0)
        # A missing setting, and a dry run, are nobody's business.
        assert site("deploy", "--dry-run").code == 0
        assert site("deploy", "--env-file", "none").code == 1
        assert len(robot.told) == 3
    down = site("deploy", "--version", first)
    assert (down.code, site.running()) == (0, first)
    assert "warning: the notification failed: webhook at 127.0.0.1 cannot be reached" in down.err
    with chat("dingtalk", "SEC-another") as robot:
        site.set("CONTAINER_PIPELINE_WEBHOOK", robot.address)
        refused = site("deploy", "--version", first)
    assert (refused.code, site.running()) == (0, first)
    assert "refused the message: sign not match" in refused.err
    assert "canary" not in down.err + refused.err
