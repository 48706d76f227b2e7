"""Releases on a server: kept, pruned, rolled back to, compared with the running containers; and up, down, pull."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from lab import smallimage
from lab.registry import Registry
from real.site import Site


def images(site: Site) -> set[str]:
    """Return the versions of the images on the server."""
    server = site.servers[0]
    return set(server.docker("images", f"{site.registry.address}/{site.code}", "--format", "{{.Tag}}").split())


def test_deploy_removes_only_releases_and_images_beyond_keep(site: Site):
    site.set("CONTAINER_PIPELINE_KEEP", "2")
    versions = [site.deployed() for _turn in range(3)]
    assert set(site.sh("ls releases").split()) == set(versions[1:]) == images(site)
    # The one that was gone back from goes before the one that ran.
    assert site("rollback").code == 0
    former, newest = versions[1], site.deployed()
    assert set(site.sh("ls releases").split()) == images(site) == {former, newest}
    # A failed deploy of a version leaves the image that a release needs, and brings back the one that the version had.
    image = site.servers[0].docker("inspect", "-f", "{{.Image}}", site.code)
    compose = (site.folder / "docker-compose.yml").read_text()
    site.write("docker-compose.yml", compose + "    command: sh -c 'exit 7'\n")
    assert site("deploy", "--version", former).code == 3
    assert images(site) == {former, newest}
    site.write("docker-compose.yml", compose)
    site.publish("exits", newest)
    assert site("deploy", "--version", newest).code == 3
    assert site.servers[0].docker("inspect", "-f", "{{.Image}}", site.code) == image
    assert site.servers[0].get(site.port).strip() == newest
    # A release that a rollback restores stays, whatever its age.
    site.set("CONTAINER_PIPELINE_KEEP", "1")
    assert site("rollback").code == 0
    assert site.running() == former
    assert former in site.sh("ls releases").split()
    assert former in images(site)


def test_every_service_runs_the_digest_that_was_built(site: Site):
    worker = f"  worker:\n    image: ${{DOCKER_REGISTRY}}/{site.code}:${{VERSION}}\n    ports: [8080]\n"
    site.append("docker-compose.yml", worker)
    version = site.publish()
    built = site.digest(version)
    site.built(version)
    site.publish("exits", version)
    assert site.digest(version) != built
    done = site("deploy", "--json")
    assert done.code == 0, done.err
    assert done.result["digest"] == built
    assert site.servers[0].get(site.port).strip() == version
    before = site.container()
    site.set("CONTAINER_PIPELINE_PULL", "always")
    done = site("deploy")
    assert (done.code, site.container()) == (0, before), done.err


def test_rollback_skips_releases_that_were_rolled_back(site: Site, registry_factory: Callable[..., Registry]):
    registry = registry_factory()
    site.use(registry)
    for tag in ("1", "2"):
        smallimage.push(site.lab, registry, "tools", tag, {"Labels": {"tag": tag}})
    compose = (site.folder / "docker-compose.yml").read_text()

    def write(token: str, tools: str) -> None:
        """Change a secret, and the image of a companion."""
        site.write(".env", f"ENV=test\nTOKEN={token}\n")
        image = f"{registry.address}/tools:{tools}"
        side = f"  side: {{image: '{image}', command: [sleep, '99'], stop_grace_period: 0s}}\n"
        site.write("docker-compose.yml", compose + side)

    write("before", "1")
    good = site.deployed()
    write("rotated", "2")
    bad = site.deployed()
    assert f"{bad} → {good}" in site("rollback", "--dry-run").out
    # A rollback restores the secrets of its release.
    assert site("rollback").code == 0
    assert (site.running(), site.environment()["TOKEN"]) == (good, "before")
    write("rotated", "1")
    worse = site.deployed()
    assert f"{worse} → {good}" in site("rollback", "--dry-run").out
    assert site("rollback").code == 0
    assert site.running() == good
    # What is not there is refused, and what is kept is named.
    assert "there is no previous release" in site("rollback", "--dry-run").out
    for options, sentence in (
        ((), f"there is no previous release; kept: {worse} {bad} {good}"),
        (("--version", "20200101000000"), f"release 20200101000000 is not kept; kept: {worse} {bad} {good}"),
    ):
        done = site("rollback", *options)
        assert (done.code, sentence in done.err, site.running()) == (1, True, good), done.err
    # A deploy of an earlier version takes the current secrets. Deployed again it is one that ran, wherever it stood before.
    write("latest", "2")
    assert site("deploy", "--version", bad).code == 0
    assert (site.running(), site.environment()["TOKEN"]) == (bad, "latest")
    # A rollback needs no registry, not even for the image of a companion.
    registry.stop()
    done = site("rollback", "--version", worse)
    assert (done.code, site.running()) == (0, worse), done.err
    assert site("rollback").code == 0
    assert site.running() == bad


def test_status_reports_unreadable_record_and_still_lists_others(site: Site):
    site.on(*site.lab.servers)
    first = site.deployed()
    second = site.deployed()
    # `logs` of several servers name the server.
    lines = site("logs", "--tail", "5").out.splitlines()
    assert {line.partition(" | ")[0] for line in lines} == {"server-1", "server-2"}
    assert sum(f"serving {second}" in line for line in lines) == 2
    for text in ("", "cut sho", "[1]"):
        for version in (first, second):
            (site.servers[0].folder / f"compose/{site.code}/releases/{version}/release.json").write_text(text)
        broken, whole = site("status", "--json").result["servers"]
        assert (broken["version"], broken["differs"]) == (second, ["record"])
        assert (whole["version"], whole["differs"]) == (second, [])
    assert "the release's record cannot be read" in site("status").out
    lists = [
        [record["version"] for record in server["releases"]] for server in site("history", "--json").result["servers"]
    ]
    assert lists == [[second, first]] * 2
    assert site("history").out.count(second) == 2
    done = site("rollback")
    assert done.code == 1
    assert f"release {first} is not kept" in done.err
    assert [site.running(server) for server in site.servers] == [second, first]
    # A deploy writes it anew. A rolling one stops at the first server where it fails.
    done = site("deploy", "--version", site.publish("unhealthy"), "--rolling", "1", "--json")
    assert done.code == 3
    assert {one["name"]: one["status"] for one in done.result["servers"]} == {
        "server-1": "rolled-back",
        "server-2": "skipped",
    }
    assert [site.running(server) for server in site.servers] == [second, first]
    assert site("deploy", "--version", second).code == 0
    assert site("status", "--json").result["servers"][0]["differs"] == []


def test_deploy_rolls_back_if_release_cannot_be_recorded(site: Site, server_factory):
    server = server_factory(engine="server-1", disk="1m")
    site.on(server)
    former = site.deployed()
    site.set("CONTAINER_PIPELINE_SETTLE", "6")
    run = site.start("deploy", "--version", site.publish("plain"))
    assert run.stderr
    assert any("waiting for health" in line for line in run.stderr)
    site.sh("dd if=/dev/zero of=/docker/filler bs=4k 2>/dev/null || true")
    _out, err = run.communicate(timeout=60)
    assert run.returncode == 3, err
    assert "the release could not be recorded" in err
    assert site.sh("head -n 1 releases/.current; ls releases").split() == [former, former]
    site.sh("rm /docker/filler")
    assert site("rollback").code == 1
    assert site.running() == former


@pytest.mark.matrix  # as tests of a release's files, without a companion
def test_deploy_and_rollback_update_files_mounted_by_compose(site: Site):
    text = (site.folder / "docker-compose.yml").read_text()
    site.write(
        "docker-compose.yml", text.replace("ports:", "volumes: ['./conf/app.ini:/app.ini', './web:/web']\n    ports:")
    )
    site.set("CONTAINER_PIPELINE_FILES", "conf/app.ini,web")
    site.write("conf/app.ini", "one\n")
    site.write("web/a/index.html", "page one\n")
    version = site.deployed()
    read = ("exec", site.code, "cat", "/app.ini", "/web/a/index.html")
    assert site.servers[0].docker(*read) == "one\npage one\n"
    site.write("conf/app.ini", "two\n")
    site.write("web/a/index.html", "page two\n")
    # The same version with other files: Compose itself would see no difference.
    assert site("deploy", "--version", version).code == 0
    assert site.servers[0].docker(*read) == "two\npage two\n"
    site.write("conf/app.ini", "three\n")
    assert site("deploy", "--version", site.publish("unhealthy")).code == 3
    assert site.servers[0].docker(*read) == "two\npage two\n"
    site.sh("cat conf/app.ini web/a/index.html")
    assert site("status", "--json").result["servers"][0]["differs"] == []


def test_status_says_where_the_server_differs(either: Site):
    site, server = either, either.servers[0]
    # An environment has its own servers and .env.
    site.set("CONTAINER_PIPELINE_SERVERS", "")
    site.write("container-pipeline.yml", f"environments:\n  test: {{servers: [{server.name}], env_file: test.env}}\n")
    site.write("test.env", "ENV=of-test\n")
    version = site.publish()
    assert site("deploy", "--version", version, "--environment", "test").code == 0
    assert site.environment()["ENV"] == "of-test"
    site.on(server)
    for change, undo, differs, state in (
        ("sed -i s/test/hand/ .env", "sed -i s/hand/test/ .env", [".env"], "running"),
        ("echo '# by hand' >> docker-compose.yml", "sed -i '$d' docker-compose.yml", ["docker-compose.yml"], "running"),
        ("chmod 644 .env", "chmod 600 .env", [".env"], "running"),
        (f"docker stop -t 0 {site.code}", "true", [], "exited"),
        (f"docker rm -f {site.code}", "true", ["down"], ""),
    ):
        site.sh(change)
        told = site("status", "--json").result["servers"][0]
        assert (told["differs"], [one["state"] for one in told["containers"]]) == (differs, [state] if state else [])
        site.sh(undo)
    # `up`, `down` and `pull` are Compose's own.
    assert site("pull").code == 0
    done = site("up")
    assert (done.code, site.running()) == (0, version), done.err
    done = site("down")
    assert (done.code, "pass --yes" in done.err) == (2, True)
    assert site.running() == version
    assert site("down", "--yes").code == 0
    assert site.running() == ""


@pytest.mark.parametrize("user", ["root", pytest.param("deploy", marks=pytest.mark.matrix)])
def test_ctrl_c_stops_followed_logs_on_the_server(either: Site, user: str):
    version = either.deployed()
    # The one who may use Docker by sudo alone.
    either.sh(f"chown -R {user} .")
    either.set("CONTAINER_PIPELINE_SERVERS", f"{user}@{either.servers[0].name}")
    either.set("CONTAINER_PIPELINE_SUDO", str(user == "deploy").lower())
    run = either.start("logs", "-f")
    assert run.stdout
    assert any(f"serving {version}" in line for line in run.stdout)
    run.send_signal(signal.SIGINT)
    assert run.wait(10) == 130
    run.communicate()
    # The folder it works in tells a `compose logs` of ours from another test's.
    working = "for p in $(pgrep -f 'compose.* logs'); do readlink /proc/$p/cwd; done"
    end = time.monotonic() + 10
    while either.code in either.servers[0].run(working, check=False):
        assert time.monotonic() < end
        time.sleep(0.2)
