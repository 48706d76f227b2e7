"""Guards of failed deploys: the previous release runs again, and the reason is shown."""

from __future__ import annotations

import pytest

from real.site import Site

pytestmark = pytest.mark.slow

WHY = {
    "unhealthy": ("is unhealthy", "no database"),
    "exits": ("keeps restarting (exit code 3)", "cannot start: no database"),
    "deaf": ("does not listen on port 8080 (timed out)", "here I am"),
    "on mapped loopback": ("does not listen on port 8080 (timed out)", "serving"),
    "on another loopback": ("does not listen on port 8080 (timed out)", "serving"),
    "waits for ever": ("is not healthy yet (timed out)", "here I am"),
}


@pytest.mark.parametrize("timed_out", [False, True], ids=["fails at once", "times out"])
def test_the_former_release_runs_again_byte_for_byte(site: Site, timed_out: bool):
    former = site.deployed()
    files = site.files()
    site.set("CONTAINER_PIPELINE_TIMEOUT", "6")
    site.write(".env", "ENV=new\n")
    for behaviour, (sentence, logged) in WHY.items():
        if sentence.endswith("(timed out)") is not timed_out:
            continue
        done = site("deploy", "--version", site.publish(behaviour), "--json")
        assert done.code == 3, (behaviour, done.err)
        # The whole sentence: an immediate failure is not reported as a timeout.
        assert done.result["error"]["message"].endswith(sentence)
        assert logged in done.err
        server = done.result["servers"][0]
        assert (server["status"], server["version"]) == ("rolled-back", former)
        assert site.files() == files
        assert site.servers[0].get(site.port).strip() == former
        assert site("status", "--json").result["servers"][0]["differs"] == []
        assert site.left_over() == ""
        assert site.lock_is_free()


def test_compose_v1_rolls_back_and_warns_about_latest(site: Site):
    site.on(site.lab.servers[1])
    for suffix, value in (
        ("", site.registry.address),
        ("_USER", site.registry.user),
        ("_PASS", site.registry.password),
    ):
        site.set(f"DOCKER_REGISTRY_PROD{suffix}", value)
    former = site.deployed()
    files = site.files()
    failed = site.publish("exits")
    done = site("deploy", "--version", failed)
    assert done.code == 3, done.err
    assert (site.files(), site.running()) == (files, former)
    back = f"container-pipeline promote --version {former} --force-latest"
    assert f"no server runs {failed}; if `latest` in production names it, `{back}` moves `latest` back" in done.err


def test_service_that_exits_after_five_seconds_fails_deploy(site: Site):
    # Without a port, whose check would fail before the exit.
    text = (site.folder / "docker-compose.yml").read_text()
    site.write("docker-compose.yml", "".join(line for line in text.splitlines(True) if "ports:" not in line))
    former = site.deployed()
    site.set("CONTAINER_PIPELINE_SETTLE", "8")
    done = site("deploy", "--version", site.publish("exits later"), "--timeout", "30")
    assert done.code == 3
    assert "gave up" in done.err
    assert site.running() == former


def test_occupied_port_leaves_the_previous_release_running(either: Site):
    former = either.deployed()
    server = either.servers[0]
    server.run(f"nohup busybox nc -ll -p {either.port + 1} -e true >/dev/null 2>&1 & echo $!")
    compose = (either.folder / "docker-compose.yml").read_text()
    either.write("docker-compose.yml", compose.replace(f"{either.port}:", f"{either.port + 1}:"))
    try:
        done = either("deploy", "--version", either.publish())
    finally:
        server.run(
            f"kill $(ss -ltnpH 'sport = :{either.port + 1}' | sed 's/.*pid=\\([0-9]*\\).*/\\1/') 2>/dev/null || true"
        )
    assert done.code == 3, done.err
    assert "Compose could not start the service" in done.err
    assert server.get(either.port).strip() == former


def test_failed_first_deploy_is_removed_without_a_release(either: Site):
    done = either("deploy", "--version", either.publish("exits"), "--json")
    assert done.code == 1
    assert done.result["servers"][0]["status"] == "taken-down"
    assert either.servers[0].docker("ps", "-aq", "--filter", f"name=^{either.code}$") == ""
    assert either.sh("ls -A . releases").split() == [".:", ".lock", "releases", "releases:", ".end", ".log"]


def test_failed_deploy_restores_files_an_operator_created(site: Site):
    version, folder = site.publish(), f"/docker/compose/{site.code}"
    site.deployed()
    site.sh("rm -rf releases .lock && sed -i s/ENV=test/ENV=by-hand/ .env")
    files = site.files()
    done = site("deploy", "--version", site.publish("unhealthy"))
    assert done.code == 3, done.err
    assert site.files() == files
    assert site.environment()["ENV"] == "by-hand"
    assert version not in site.servers[0].run(f"ls -A {folder}/releases")


def test_rollback_restores_companion_image_and_removes_new_companion(either: Site):
    image, wait = f"{either.registry.address}/{either.code}:side", "command: [sleep, '999'], stop_grace_period: 0s"
    either.publish("plain", "side")
    either.append("docker-compose.yml", f"  side: {{image: '{image}', {wait}}}\n")
    either.deployed("plain")
    look = f"docker ps -a --filter label=com.docker.compose.project={either.code} --format '{{{{.Names}}}} {{{{.Image}}}}' | sort"
    ids = f"docker inspect -f '{{{{.Image}}}}' $(docker ps -q --filter label=com.docker.compose.service=side) {image} | uniq"
    before = either.sh(look), either.sh(ids)
    either.publish("plain", "side")
    either.append("docker-compose.yml", f"  worker: {{image: '{image}', {wait}}}\n")
    assert either("deploy", "--version", either.publish("unhealthy")).code == 3
    assert (either.sh(look), either.sh(ids)) == before


def test_failed_rollback_exits_4_and_names_repair_command(site: Site):
    site.deployed()
    # What runs now cannot be started again: its image is gone, and its tag is in no registry.
    site.sh("sed -i 's/^VERSION=.*/VERSION=gone/' .env")
    done = site("deploy", "--version", site.publish("exits"))
    assert done.code == 4
    assert "and so did the rollback" in done.err
    assert f"container-pipeline rollback --server {site.servers[0].name} --version" in done.err


def test_one_shot_service_succeeds_only_with_exit_0(site: Site):
    site.append("docker-compose.yml", f"""\
  migrate:
    image: ${{DOCKER_REGISTRY}}/{site.code}:${{VERSION}}
    command: sh -c 'exit 0'
    healthcheck: {{disable: true}}
""")  # fmt: skip
    site.deployed()
    compose = (site.folder / "docker-compose.yml").read_text()
    site.write("docker-compose.yml", compose.replace("exit 0", "echo cannot migrate; exit 9"))
    done = site("deploy", "--version", site.publish())
    assert done.code == 3
    assert "migrate exited (exit code 9)" in done.err
    assert "cannot migrate" in done.err


def test_service_healthy_between_crashes_fails_the_deploy(either: Site):
    former = either.deployed()
    either.set("CONTAINER_PIPELINE_SETTLE", "3")
    done = either("deploy", "--version", either.publish("healthy between crashes"))
    assert done.code == 3, done.err
    assert "keeps restarting (exit code 3)" in done.err
    assert either.running() == former


def test_service_that_restarts_once_is_healthy_if_stable(site: Site):
    site.set("CONTAINER_PIPELINE_SETTLE", "3")
    done = site("deploy", "--version", site.publish("exits once"))
    assert done.code == 0, done.err
    assert "is up, watching that it stays up" in done.err


def test_restarts_before_the_deploy_are_not_a_loop(site: Site):
    site.set("CONTAINER_PIPELINE_TIMEOUT", "30")
    version = site.deployed("plain")
    for _turn in range(4):
        # The service's own first process ends: Docker starts it again and counts.
        site.servers[0].run(f"docker exec {site.code} kill 1; sleep 1.5")
    assert int(site.servers[0].docker("inspect", "-f", "{{.RestartCount}}", site.code)) > 3
    done = site("deploy", "--version", version)
    assert done.code == 0, done.err


def test_a_container_name_of_a_stranger_is_named(either: Site):
    site = either
    server, taken = site.servers[0], f"{site.code}-cache"
    version = site.deployed()
    image = f"{site.registry.address}/{site.code}:{version}"
    stranger = server.docker("run", "-d", "--name", taken, image, "sleep", "1000").strip()
    sentence = f'"/{taken}" is already in use by container'
    own = (site.folder / "docker-compose.yml").read_text()
    site.append("docker-compose.yml", f"  cache:\n    image: {image}\n    container_name: {taken}\n")
    done = site("deploy", "--version", site.publish())
    assert (done.code, sentence in done.err.splitlines()[-1]) == (3, True), done.err
    assert site.running() == version
    # On a first deploy nothing is left but the stranger.
    site.write("docker-compose.yml", own)
    server.docker("rm", "-f", site.code)
    server.docker("rename", taken, site.code)
    server.run(f"rm -r /docker/compose/{site.code}")
    done = site("deploy", "--version", version)
    assert (done.code, f'"/{site.code}" is already in use by container' in done.err) == (1, True), done.err
    assert server.docker("ps", "-q", "--no-trunc", "--filter", f"name={site.code}").strip() == stranger
