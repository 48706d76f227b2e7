"""Releases on a server: kept, pruned, rolled back to, compared with the running containers; and up, down, pull."""

from __future__ import annotations

import signal
import time

import pytest

from real.site import Site


def images(site: Site) -> set[str]:
    """Return the versions of the images on the server."""
    server = site.servers[0]
    return set(server.docker("images", f"{site.registry.address}/{site.code}", "--format", "{{.Tag}}").split())


def test_rollback_and_keep_choose_the_right_releases(site: Site):
    def kept() -> set[str]:
        """Return the kept releases, which are those whose images are kept."""
        releases = set(site.sh("ls releases").split())
        assert releases == images(site)
        return releases

    site.write(".env", "TOKEN=before\n")
    good = site.deployed()
    site.write(".env", "TOKEN=rotated\n")
    bad = site.deployed()
    # A rollback restores the secrets of its release.
    assert site("rollback").code == 0
    assert (site.running(), site.environment()["TOKEN"]) == (good, "before")
    # It skips what was rolled back.
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
    # A deploy of an earlier version takes the current secrets. Beyond `keep`, the one that was rolled back goes before the one that ran.
    # Its image is another one by now, and the one that it had does not stay.
    site.set("CONTAINER_PIPELINE_KEEP", "2")
    site.write(".env", "TOKEN=latest\n")
    site.publish(version=bad)
    assert site("deploy", "--version", bad).code == 0
    assert (site.running(), site.environment()["TOKEN"], kept()) == (bad, "latest", {bad, good})
    newest = site.deployed()
    assert kept() == {bad, newest}
    # A failed deploy of a version leaves the image that a release needs, and brings back the one that the version had.
    image = site.servers[0].docker("inspect", "-f", "{{.Image}}", site.code)
    compose = (site.folder / "docker-compose.yml").read_text()
    site.write("docker-compose.yml", compose + "    command: sh -c 'exit 7'\n")
    assert site("deploy", "--version", bad).code == 3
    assert kept() == {bad, newest}
    site.write("docker-compose.yml", compose)
    site.publish("exits", newest)
    assert site("deploy", "--version", newest).code == 3
    assert site.servers[0].docker("inspect", "-f", "{{.Image}}", site.code) == image
    assert site.servers[0].get(site.port).strip() == newest
    assert kept() == {bad, newest}
    # Deployed again, the one that was rolled back is one that ran. A release that a rollback restores stays, whatever its age.
    site.set("CONTAINER_PIPELINE_KEEP", "1")
    assert site("rollback").code == 0
    assert (site.running(), site.sh("ls releases").split()) == (bad, [bad])
    assert bad in images(site)


def test_every_service_runs_the_digest_that_was_built(site: Site):
    worker = f"  worker:\n    image: ${{DOCKER_REGISTRY}}/{site.code}:${{VERSION}}\n    ports: [8080]\n"
    site.append("docker-compose.yml", worker)
    version = site.publish()
    built = site.digest(version)
    site.built(version)
    site.publish("exits", version)
    assert site.digest(version) != built
    site.set("CONTAINER_PIPELINE_PULL", "always")
    done = site("deploy", "--json")
    assert done.code == 0, done.err
    assert done.result["digest"] == built
    assert site.servers[0].get(site.port).strip() == version
    # What has not changed is not replaced, even where all tags are asked for again.
    before = site.container()
    assert site("deploy").code == 0
    assert site.container() == before


def test_status_reports_unreadable_record_and_still_lists_others(site: Site):
    site.on(*site.lab.servers)
    first = site.deployed()
    second = site.deployed()
    # `logs` of several servers name the server.
    lines = site("logs", "--tail", "5").out.splitlines()
    assert {line.partition(" | ")[0] for line in lines} == {"server-1", "server-2"}
    assert sum(f"serving {second}" in line for line in lines) == 2
    releases = site.servers[0].folder / f"compose/{site.code}/releases"
    (releases / first / "release.json").write_text("cut sho")
    for text in ("", "[1]"):
        (releases / second / "release.json").write_text(text)
        broken, whole = site("status", "--json").result["servers"]
        assert (broken["version"], broken["differs"]) == (second, ["record"])
        assert (whole["version"], whole["differs"]) == (second, [])
    assert "the release's record cannot be read" in site("status").out
    lists = [
        [record["version"] for record in server["releases"]] for server in site("history", "--json").result["servers"]
    ]
    assert lists == [[second, first]] * 2
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
    site.on(site.servers[0])
    assert site("deploy", "--version", second).code == 0
    assert site("status", "--json").result["servers"][0]["differs"] == []


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


def interrupt_logs(site: Site, version: str) -> None:
    """Ctrl-C on followed logs ends what follows them on the server, too."""
    run = site.start("logs", "-f")
    assert run.stdout
    assert any(f"serving {version}" in line for line in run.stdout)
    run.send_signal(signal.SIGINT)
    assert run.wait(10) == 130
    run.communicate()
    # The folder it works in tells a `compose logs` of ours from another test's.
    working = "for p in $(pgrep -f 'compose.* logs'); do readlink /proc/$p/cwd; done"
    end = time.monotonic() + 10
    while site.code in site.servers[0].run(working, check=False):
        assert time.monotonic() < end
        time.sleep(0.2)


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
    interrupt_logs(site, version)
    for change, undo, differs, state in (
        (
            "sed -i s/test/hand/ .env; echo '# by hand' >> docker-compose.yml",
            "sed -i s/hand/test/ .env; sed -i '$d' docker-compose.yml",
            ["docker-compose.yml", ".env"],
            "running",
        ),
        (f"chmod 644 .env; docker stop -t 0 {site.code}", "chmod 600 .env", [".env"], "exited"),
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


@pytest.mark.matrix  # as the test above, by a user who may use Docker by sudo alone
def test_ctrl_c_stops_followed_logs_under_sudo(either: Site):
    version = either.deployed()
    either.sh("chown -R deploy .")
    either.set("CONTAINER_PIPELINE_SERVERS", f"deploy@{either.servers[0].name}")
    either.set("CONTAINER_PIPELINE_SUDO", "true")
    interrupt_logs(either, version)
