"""A release command, such as a migration, runs once per deploy in the new image, before anything that runs is touched."""

from __future__ import annotations

import json
import signal

import pytest

from lab import engine
from real.site import Site, settled

_COMPANION = "  db:\n    image: {image}\n    command: [sh, -c, 'trap \"exit 0\" TERM; sleep 1000 & wait']\n"


def release(site: Site, command: object, **more: object) -> None:
    site.set("CONTAINER_PIPELINE_RELEASE", json.dumps({"command": command, **more}))


def containers(site: Site) -> dict[str, str]:
    """Return the containers of the project on the first server: name → id and start time."""
    server = site.servers[0]
    names = server.docker("ps", "-a", "--filter", f"name={site.code}", "--format", "{{.Names}}").split()
    return {name: server.docker("inspect", "-f", "{{.Id}} {{.State.StartedAt}}", name) for name in names}


@pytest.fixture
def data(either: Site) -> Site:
    """A service with a folder of the server and a companion; what the command finds and prints is in /data."""
    site = either
    image = f"{site.registry.address}/{site.code}:{site.publish('plain')}"
    volumes = (
        "    volumes: ['./data:/data', './conf:/conf:ro']\n    depends_on: [db]\n    entrypoint: [sh, /conf/entry]\n"
    )
    site.append("docker-compose.yml", volumes + _COMPANION.format(image=image))
    site.set("CONTAINER_PIPELINE_FILES", "conf")
    site.servers[0].run(f"mkdir -p /docker/compose/{site.code}/data")
    site.write("conf/entry", "mkdir -p /data; echo $VERSION >> /data/starts\n" + _SERVE)
    return site


_SERVE = "trap 'exit 0' TERM; mkdir -p /www; echo $VERSION > /www/index.html; httpd -f -p 8080 -h /www & wait\n"


def test_command_runs_in_the_new_image_and_release(data: Site):
    site = data
    # Where it fails, a first deploy is taken down.
    release(site, "echo half done; exit 4")
    done = site("deploy", "--version", site.publish())
    assert done.code == 1, done.err
    assert "the first deploy failed and was taken down: the release command failed (exit code 4)" in done.err
    assert "half done" in done.err
    assert containers(site) == {}
    told = site("status").err
    assert "nothing is deployed there: the deploy of" in told
    assert "`container-pipeline history` shows why" in told
    assert "the release command failed" in site("history").out
    assert site("down", "--yes").code == 0
    # --no-release skips it.
    works = 'echo "$VERSION $(cat /conf/word) $0" >> /data/ran; echo "migrated $ENV"'
    release(site, works)
    site.write("conf/word", "one")
    first = site.publish()
    done = site("deploy", "--version", first, "--no-release")
    assert (done.code, site.sh("ls data").split()) == (0, ["starts"]), done.err
    # It runs once per deploy. The image's entrypoint does not run beside it.
    site.write("conf/word", "two")
    second = site.publish()
    done = site("deploy", "--version", second)
    assert (done.code, len(containers(site))) == (0, 2), done.err
    assert "| migrated test" in done.err
    # A rollback does not run it.
    assert site("rollback").code == 0
    ran = [f"{second} two sh"]
    assert site.sh("cat data/ran; cat data/starts").splitlines() == [*ran, first, second, first]
    # Nothing that runs is touched before it has succeeded.
    files = site.files()
    site.write("conf/word", "three")
    for command, timeout, sentence in (
        (["sh", "-c", "cat /conf/word; exit 3", "${VERSION} $$ 'x"], 60, "the release command failed (exit code 3)"),
        ("trap '' TERM; echo waiting; sleep 500", 2, "did not end within 2 s and was killed"),
        (["/no/such/program"], 60, "the release command could not be started"),
    ):
        if command == ["/no/such/program"]:
            # A companion is started for it, and removed again if it fails.
            site.servers[0].docker("rm", "-f", *(name for name in containers(site) if name != site.code))
        before = containers(site)
        release(site, command, timeout=timeout)
        done = site("deploy", "--version", second)
        assert done.code == 1, (command, done.err)
        assert sentence in done.err
        assert ("| three" in done.err) == (sentence.endswith("3)"))
        assert (containers(site), site.files(), site.running()) == (before, files, first), command
        assert (site.left_over(), site.sh("cat conf/word"), site.lock_is_free()) == ("", "one", True), command
    assert set(before) == {site.code}


def test_command_runs_once_and_kills_leave_no_container(either: Site):
    site = either
    first, second = sorted(site.lab.servers, key=lambda server: server is not site.servers[0])
    site.on(first, second)
    release(site, "echo once")
    version = site.publish()
    done = site("deploy", "--version", version)
    assert done.code == 0, done.err
    assert done.err.count("| once") == 1, done.err
    assert f"{first.name}: | once" in done.err
    # Where it fails on the first, no server changes.
    release(site, "exit 5")
    done = site("deploy", "--version", site.publish())
    assert done.code == 1, done.err
    assert done.err.count(f"the release command did not succeed on {first.name}") == 1
    assert [site.running(server) for server in site.servers] == [version, version]
    # The agent is terminated or killed; at last, the program on the server is.
    site.on(first)
    before, files = containers(site), site.files()
    site.publish(version=version)
    release(site, "echo working; sleep 500")
    for how in (signal.SIGTERM, signal.SIGKILL, None):
        process = site.start("deploy", "--version", version)
        assert process.stderr
        assert any("| working" in line for line in process.stderr)
        # Its output is shown while it runs, under the lock.
        assert not site.lock_is_free()
        [image] = (
            one["Image"]
            for one in engine.call(first.docker_host, "GET", "/containers/json", name=f"{site.code}-release")
        )
        if how:
            process.send_signal(how)
        else:
            [incoming] = site.sh("ls -d releases/.incoming.*").split()
            site.sh(f"kill -9 {incoming.rpartition('.')[2]}")
        process.communicate(timeout=60)
        settled(site)
        assert site.left_over(patience=30) == "", how
        assert (containers(site), site.files(), site.running()) == (before, files, version), how
        # It ran in the image of the digest: the tag on the server still names the image before.
        assert image == f"{site.registry.address}/{site.code}@{site.digest(version)}"
