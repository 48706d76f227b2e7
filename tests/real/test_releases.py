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


def test_deploy_removes_only_releases_and_images_beyond_keep(site: Site):
    site.set("CONTAINER_PIPELINE_KEEP", "2")
    versions = [site.deployed() for _turn in range(4)]
    assert set(site.sh("ls releases").split()) == set(versions[2:]) == images(site)
    # The one that was gone back from goes before the one that ran.
    assert site("rollback").code == 0
    newest = site.deployed()
    assert set(site.sh("ls releases").split()) == images(site) == {versions[2], newest}


def test_rollback_keeps_the_restored_release_despite_its_age(site: Site):
    first = site.deployed()
    site.deployed()
    site.set("CONTAINER_PIPELINE_KEEP", "1")
    assert site("rollback").code == 0
    assert first in site.sh("ls releases").split()
    assert first in images(site)


def test_failed_version_leaves_no_image_on_the_server(site: Site):
    good = site.deployed()
    assert site("deploy", "--version", site.publish("unhealthy")).code == 3
    assert images(site) == {good}


def test_an_image_that_a_kept_release_needs_stays(site: Site):
    first, second = site.deployed(), site.deployed()
    site.write(".env", "ENV=broken\n")
    compose = (site.folder / "docker-compose.yml").read_text()
    site.write("docker-compose.yml", compose + "    command: sh -c 'exit 7'\n")
    assert site("deploy", "--version", first).code == 3
    assert images(site) == {first, second}
    assert site.running() == second
    assert site("rollback").code == 0
    assert site.running() == first


def test_deploy_uses_built_digest_even_if_tag_moved(site: Site):
    version = site.publish()
    built = site.digest(version)
    site.built(version)
    site.publish("exits", version)
    assert site.digest(version) != built
    done = site("deploy", "--json")
    assert done.code == 0, done.err
    assert done.result["digest"] == built
    assert site.servers[0].get(site.port).strip() == version


def test_companion_with_same_image_also_runs_built_digest(site: Site):
    worker = f"  worker:\n    image: ${{DOCKER_REGISTRY}}/{site.code}:${{VERSION}}\n    ports: [8080]\n"
    site.append("docker-compose.yml", worker)
    version = site.publish()
    site.built(version)
    assert site("deploy").code == 0
    before = site.container()
    site.publish("exits", version)
    site.set("CONTAINER_PIPELINE_PULL", "always")
    done = site("deploy")
    assert (done.code, site.container()) == (0, before), done.err


def test_rollback_pulls_no_image_that_a_companion_had(site: Site, registry_factory):
    registry = registry_factory()
    site.use(registry)
    for name in ("tools:1", "tools:2"):
        site._docker(
            "build",
            "-q",
            "-t",
            f"{registry.address}/{name}",
            "-",
            stdin=f"FROM {site.lab.small_image}\nLABEL a={name}\n",
        )
        site._docker("push", "-q", f"{registry.address}/{name}")
    compose = (site.folder / "docker-compose.yml").read_text()
    for name in ("tools:1", "tools:2"):
        site.write(
            "docker-compose.yml",
            f"{compose}  side: {{image: '{registry.address}/{name}', command: [sleep, '99'], stop_grace_period: 0s}}\n",
        )
        site.deployed()
    registry.stop()
    done = site("rollback")
    assert done.code == 0, done.err


def test_failed_redeploy_restores_the_previous_image_of_version(site: Site):
    version = site.deployed()
    before = site.servers[0].docker("inspect", "-f", "{{.Image}}", site.code)
    site.publish("exits", version)
    assert site("deploy", "--version", version).code == 3
    assert site.servers[0].docker("inspect", "-f", "{{.Image}}", site.code) == before
    assert site.servers[0].get(site.port).strip() == version


def test_rollback_accepts_a_kept_release_and_refuses_others(site: Site):
    versions = [site.deployed() for _turn in range(3)]
    assert site("rollback", "--version", versions[0]).code == 0
    assert site.running() == versions[0]
    done = site("rollback", "--version", "20200101000000")
    assert done.code == 1
    assert f"release 20200101000000 is not kept; kept: {versions[2]} {versions[1]} {versions[0]}" in done.err
    assert site.running() == versions[0]


def test_rollback_skips_releases_that_were_rolled_back(site: Site):
    good = site.deployed()
    bad = site.deployed()
    assert f"{bad} → {good}" in site("rollback", "--dry-run").out
    assert site("rollback").code == 0
    assert site.running() == good
    worse = site.deployed()
    assert f"{worse} → {good}" in site("rollback", "--dry-run").out
    assert site("rollback").code == 0
    assert site.running() == good
    assert "there is no previous release" in site("rollback", "--dry-run").out
    done = site("rollback")
    assert done.code == 1
    assert f"there is no previous release; kept: {worse} {bad} {good}" in done.err
    # Deployed again it is one that ran, wherever it stood before.
    assert site("deploy", "--version", bad).code == 0
    assert site("rollback", "--version", worse).code == 0
    assert site("rollback").code == 0
    assert site.running() == bad


def test_rollback_needs_no_registry(site: Site, registry_factory):
    registry = registry_factory()
    site.use(registry)
    first = site.deployed()
    site.deployed()
    registry.stop()
    assert site("rollback").code == 0
    assert site.running() == first


def test_status_says_where_the_server_differs(site: Site):
    site.deployed()
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


def test_status_reports_unreadable_record_and_still_lists_others(site: Site):
    site.on(*site.lab.servers)
    first = site.deployed()
    second = site.deployed()
    for text in ("", "cut sho", "[1]"):
        for version in (first, second):
            site.sh(f"printf '%s' '{text}' > releases/{version}/release.json")
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


def test_up_down_and_pull_are_composes_own(either: Site):
    version = either.deployed()
    done = either("down")
    assert (done.code, "pass --yes" in done.err) == (2, True)
    assert either.running() == version
    assert either("down", "--yes").code == 0
    assert either.running() == ""
    assert either("pull").code == 0
    done = either("up")
    assert done.code == 0, done.err
    assert either.running() == version


def test_logs_of_several_servers_prefix_the_server_name(site: Site):
    site.on(*site.lab.servers)
    version = site.deployed()
    lines = site("logs", "--tail", "5").out.splitlines()
    assert {line.partition(" | ")[0] for line in lines} == {"server-1", "server-2"}
    assert sum(f"serving {version}" in line for line in lines) == 2


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


def test_rolling_deploy_stops_at_the_first_failure(site: Site):
    site.on(*site.lab.servers)
    former = site.deployed()
    done = site("deploy", "--version", site.publish("unhealthy"), "--rolling", "1", "--json")
    assert done.code == 3
    assert {one["name"]: one["status"] for one in done.result["servers"]} == {
        "server-1": "rolled-back",
        "server-2": "skipped",
    }
    assert [site.running(server) for server in site.servers] == [former, former]


def test_environment_uses_its_own_servers_and_env_file(site: Site):
    site.set("CONTAINER_PIPELINE_SERVERS", "")
    site.write(
        "container-pipeline.yml", f"environments:\n  test: {{servers: [{site.servers[0].name}], env_file: test.env}}\n"
    )
    site.write("test.env", "ENV=of-test\n")
    version = site.publish()
    assert site("deploy", "--version", version, "--environment", "test").code == 0
    assert site.environment()["ENV"] == "of-test"


def test_rollback_restores_previous_env_and_deploy_uses_current(either: Site):
    either.write(".env", "ENV=test\nTOKEN=before\n")
    first = either.deployed()
    either.write(".env", "ENV=test\nTOKEN=rotated\n")
    either.deployed()
    assert either("rollback").code == 0
    assert (either.running(), either.environment()["TOKEN"]) == (first, "before")
    done = either("deploy", "--version", first)
    assert done.code == 0, done.err
    assert (either.running(), either.environment()["TOKEN"]) == (first, "rotated")
