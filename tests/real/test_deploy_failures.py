"""Guards of failed deploys: the previous release runs again, and the reason is shown."""

from __future__ import annotations

import pytest

from real.site import Site

pytestmark = pytest.mark.slow

#: Behaviour → seconds to watch that it stays up, seconds to wait, the end of the error, and what is shown of the log.
WHY = {
    "exits later": (3, 30, "keeps restarting (exit code 4)", "gave up"),
    "healthy between crashes": (3, 30, "keeps restarting (exit code 3)", "no factory"),
    # On 127.8.9.7, and on 127.0.0.1 mapped into IPv6.
    "on loopback": (1, 6, "does not listen on port 8080 (timed out)", "serving"),
}
SLEEP = "command: [sleep, '999'], stop_grace_period: 0s"


def images(site: Site) -> set[str]:
    """Return the versions of the service's images on the server."""
    listed = site.servers[0].docker("images", f"{site.registry.address}/{site.code}", "--format", "{{.Tag}}")
    return set(listed.split())


def test_the_former_release_runs_again_byte_for_byte(either: Site):
    site, server = either, either.servers[0]
    # Before there is one, the failed release is taken down, and nothing is left.
    site.set("CONTAINER_PIPELINE_TIMEOUT", "3")
    done = site("deploy", "--version", site.publish("waits for ever"), "--json")
    assert (done.code, done.result["servers"][0]["status"]) == (1, "taken-down"), done.err
    assert done.result["error"]["message"].endswith("is not healthy yet (timed out)")
    assert "here I am" in done.err
    assert server.docker("ps", "-aq", "--filter", f"name=^{site.code}$") == ""
    assert site.sh("ls -A . releases").split() == [".:", ".lock", "releases", "releases:", ".end", ".log"]
    site.set("CONTAINER_PIPELINE_TIMEOUT", "30")
    former = site.deployed()
    files, compose = site.files(), (site.folder / "docker-compose.yml").read_text()
    site.write(".env", "ENV=new\n")
    # Compose cannot start the new one: another program has its port.
    site.write("docker-compose.yml", compose.replace(f"{site.port}:", f"{site.port + 1}:"))
    other = server.run(f"nohup busybox nc -ll -p {site.port + 1} -e true >/dev/null 2>&1 & echo $!").strip()
    try:
        done = site("deploy", "--version", site.publish())
    finally:
        server.run(f"kill {other}")
    assert (done.code, "Compose could not start the service" in done.err) == (3, True), done.err
    assert (site.files(), server.get(site.port).strip()) == (files, former)
    # A stranger has the name of its container.
    taken, image = f"{site.code}-cache", f"{site.registry.address}/{site.code}:{former}"
    stranger = server.docker("run", "-d", "--name", taken, image, "sleep", "1000").strip()
    cache = f"  cache: {{image: '{image}', container_name: {taken}, {SLEEP}}}\n"
    site.write("docker-compose.yml", compose + cache)
    done = site("deploy", "--version", site.publish())
    sentence = f'"/{taken}" is already in use by container'
    assert (done.code, sentence in done.err.splitlines()[-1]) == (3, True), done.err
    assert (site.files(), server.get(site.port).strip()) == (files, former)
    # It starts, and is not well.
    site.write("docker-compose.yml", compose)
    for suffix, value in (
        ("", site.registry.address),
        ("_USER", site.registry.user),
        ("_PASS", site.registry.password),
    ):
        site.set(f"DOCKER_REGISTRY_PROD{suffix}", value)
    for behaviour, (settle, timeout, sentence, logged) in WHY.items():
        site.set("CONTAINER_PIPELINE_SETTLE", str(settle))
        site.set("CONTAINER_PIPELINE_TIMEOUT", str(timeout))
        failed = site.publish(behaviour)
        done = site("deploy", "--version", failed, "--json")
        assert done.code == 3, (behaviour, done.err)
        # The whole sentence: an immediate failure is not reported as a timeout.
        assert done.result["error"]["message"].endswith(sentence)
        assert logged in done.err
        told = done.result["servers"][0]
        assert (told["status"], told["version"]) == ("rolled-back", former)
        assert (site.files(), server.get(site.port).strip()) == (files, former)
        assert site.lock_is_free()
        back = f"container-pipeline promote --version {former} --force-latest"
        assert f"no server runs {failed}; if `latest` in production names it, `{back}` moves `latest` back" in done.err
    assert site("status", "--json").result["servers"][0]["differs"] == []
    assert (site.left_over(), images(site)) == ("", {former})
    # A first deploy that cannot start leaves nothing but the stranger.
    server.docker("rm", "-f", site.code)
    server.docker("rename", taken, site.code)
    server.run(f"rm -r /docker/compose/{site.code}")
    done = site("deploy", "--version", former)
    assert (done.code, f'"/{site.code}" is already in use by container' in done.err) == (1, True), done.err
    assert server.docker("ps", "-q", "--no-trunc", "--filter", f"name={site.code}").strip() == stranger


def test_rollback_restores_companion_image_and_removes_new_companion(either: Site):
    site = either
    image = f"{site.registry.address}/{site.code}:side"
    site.publish("plain", "side")
    # A one-shot service succeeds with exit code 0 alone.
    once = "command: sh -c 'exit 0'"
    site.append(
        "docker-compose.yml", f"  side: {{image: '{image}', {SLEEP}}}\n  migrate: {{image: '{image}', {once}}}\n"
    )
    site.deployed("plain")
    project = f"label=com.docker.compose.project={site.code}"
    look = f"docker ps -a --filter {project} --format '{{{{.Names}}}} {{{{.Image}}}}' | sort"
    ids = f"docker inspect -f '{{{{.Image}}}}' $(docker ps -q --filter {project} --filter label=com.docker.compose.service=side) {image} | uniq"
    before = site.sh(look), site.sh(ids)
    site.publish("plain", "side")
    compose = (site.folder / "docker-compose.yml").read_text()
    changed = compose.replace("exit 0", "echo cannot migrate; exit 9") + f"  worker: {{image: '{image}', {SLEEP}}}\n"
    site.write("docker-compose.yml", changed)
    done = site("deploy", "--version", site.publish("plain"))
    assert done.code == 3
    assert "migrate exited (exit code 9)" in done.err
    assert "cannot migrate" in done.err
    assert (site.sh(look), site.sh(ids)) == before
    # What runs now cannot be started again: its image is gone, and its tag is in no registry.
    site.write("docker-compose.yml", compose)
    site.sh("sed -i 's/^VERSION=.*/VERSION=gone/' .env")
    done = site("deploy", "--version", site.publish("exits"))
    assert done.code == 4
    assert "and so did the rollback" in done.err
    assert f"container-pipeline rollback --server {site.servers[0].name} --version" in done.err


def test_restarts_are_no_failure_if_the_service_stabilizes(site: Site):
    site.set("CONTAINER_PIPELINE_SETTLE", "3")
    version = site.publish("exits once")
    done = site("deploy", "--version", version)
    assert done.code == 0, done.err
    assert "is up, watching that it stays up" in done.err
    # Nor are restarts from before the deploy a loop. The service's first process ends: Docker starts it again and counts.
    count = f"$(docker inspect -f '{{{{.RestartCount}}}}' {site.code})"
    site.sh(f'until [ "{count}" -gt 3 ]; do docker exec {site.code} kill 1; sleep 0.3; done 2>/dev/null')
    done = site("deploy", "--version", version)
    assert done.code == 0, done.err
