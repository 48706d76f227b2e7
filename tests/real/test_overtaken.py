"""Builds that overtake each other: a pipeline's deploy leaves a release that was built later, decided under the server's lock."""

from __future__ import annotations

import itertools
import json

import pytest

from container_pipeline.model import local_time
from container_pipeline.remote import transfer
from lab.handle import Server
from real.killing import current, killed_before
from real.site import Site, settled

#: Two builds of one night in October: clocks went back between them, so that the later one has the lower version.
EARLIER, LATER = ("20261025025500", "2026-10-25T00:55:00Z"), ("20261025020500", "2026-10-25T01:05:00Z")
#: Commands that a deploy runs before it decides; the program is killed just before the k-th of them.
TOUCHING = ("mv", "rm", "mkdir", "touch", "tar", "expr", "sed")
PIPELINE = ("deploy", "--keep-newer", "--version")


def publish(site: Site, build: tuple[str, str]) -> str:
    return site.publish("plain", *build)


def what_runs(site: Site, server: Server | None = None) -> tuple[object, ...]:
    return site.files(server), site.running(server), site.sh("cat releases/.current; ls releases", server)


def held(site: Site) -> str:
    """The images of the service that the server holds, by tag and digest."""
    name = f"{site.registry.address}/{site.code}"
    return site.servers[0].docker("images", "-a", "--digests", "--format", "{{.Tag}} {{.Digest}}", name)


def test_an_older_build_leaves_the_newer_release_untouched(either: Site):
    site = either
    earlier, later = publish(site, EARLIER), publish(site, LATER)
    site.built(later, LATER[1])
    assert site("deploy").code == 0
    before, container, digests = what_runs(site), site.container(), held(site)
    # The last build is known: it is decided before the image is pulled.
    site.built(earlier, EARLIER[1])
    done = site("deploy")
    assert (done.code, "pulling the image" in done.err, held(site)) == (6, False, digests), done.err
    # A version's age stands in its image, which is pulled to learn it, and is gone again.
    for file in site.folder.glob(".docker_build*"):
        file.unlink()
    done = site(*PIPELINE, earlier, "--json")
    assert (done.code, "pulling the image" in done.err, held(site)) == (6, True, digests), done.err
    error, (server,) = done.result["error"], done.result["servers"]
    assert error["category"] == "overtaken"
    sentence = f"release {later} runs there, which was built later ({local_time(LATER[1])}); nothing was changed"
    assert error["message"] == f"{server['name']}: {sentence}"
    assert "container-pipeline deploy --version V" in error["hint"]
    assert (server["status"], server["version"]) == ("overtaken", later)
    assert (what_runs(site), site.container()) == (before, container)
    assert (site.left_over(), site.lock_is_free()) == ("", True)
    # Who names a version by hand means it, and after that the next newer build deploys: of two at once the later one wins.
    assert site("deploy", "--version", earlier).code == 0
    assert site.running() == earlier
    later_runs_after(site, LATER, EARLIER)
    record = json.loads(site.sh(f"cat releases/{later}/release.json"))
    assert record["created"] == LATER[1]


def later_runs_after(site: Site, *order: tuple[str, str]) -> None:
    runs = [site.start(*PIPELINE, version, "--wait", "60") for version, _created in order]
    told = [run.communicate(timeout=90)[1] for run in runs]
    codes = {version: run.returncode for (version, _created), run in zip(order, runs)}
    assert codes[LATER[0]] == 0, told
    assert codes[EARLIER[0]] in (0, 6), told
    assert current(site) == site.running() == LATER[0]
    assert f"VERSION={LATER[0]}" in site.files()[".env"]


@pytest.mark.matrix  # the other order of the test above
def test_later_build_wins_between_two_simultaneous_pipelines(site: Site):
    for build in (EARLIER, LATER):
        publish(site, build)
    later_runs_after(site, EARLIER, LATER)


@pytest.mark.matrix  # on a server what a unit test shows of the program
def test_unknown_or_equal_age_still_deploys(site: Site):
    for turn, created in enumerate(["", EARLIER[1], EARLIER[1], "", LATER[1], "yesterday", EARLIER[1]]):
        version = str(int(LATER[0]) - turn)
        done = site(*PIPELINE, site.publish("plain", version, created))
        assert (done.code, current(site)) == (0, version), done.err


def test_each_of_several_servers_decides_for_itself(site: Site):
    earlier, later = publish(site, EARLIER), publish(site, LATER)
    first, second = site.lab.servers[:2]
    assert site.on(first)("deploy", "--version", later).code == 0
    done = site.on(first, second)(*PIPELINE, earlier, "--json")
    assert done.code == 6
    assert done.result["error"]["message"] == f"deploy was overtaken on 1 of 2 servers: {first.name}"
    assert [one["status"] for one in done.result["servers"]] == ["overtaken", "ok"]
    assert (site.running(first), site.running(second)) == (later, earlier)


@pytest.mark.slow
@pytest.mark.matrix
def test_killed_overtaken_deploy_keeps_the_newer_release(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("container_pipeline.clients.children._ABORT_GRACE", 0)
    earlier, later = publish(site, EARLIER), publish(site, LATER)
    assert site(*PIPELINE, later).code == 0
    before, container = what_runs(site), site.container()
    genuine = transfer.program
    for k in itertools.count(1):
        monkeypatch.setattr(transfer, "program", lambda *given, k=k: killed_before(k, genuine(*given), TOUCHING))
        done = site(*PIPELINE, earlier)
        monkeypatch.setattr(transfer, "program", genuine)
        settled(site)
        assert (what_runs(site), site.container()) == (before, container), k
        if done.code == 6:
            break
        assert done.code == 1, (k, done.err)
    assert k > 3, "it was killed at fewer points than there are"
    assert site(*PIPELINE, earlier).code == 6
    assert site.left_over(patience=20) == ""
