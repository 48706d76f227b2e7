"""Unusual servers: another user's Docker configuration, no space in memory, leftovers of killed runs."""

from __future__ import annotations

import shutil

import pytest

from lab import compose
from lab.handle import Server
from real.site import Site, settled


def test_root_configuration_and_compose_without_plugin_still_deploy(site: Site, server_factory):
    server = server_factory("server-1", "none")
    site.on(server)
    # Compose v2 that is no plugin is v2: v1 reads this value from a .env that is written differently.
    shutil.copy(compose.v2_binary(), server.folder / "docker-compose")
    site.append(".env", "PASSWORD=a'b\"c $d ${e}\n")
    # After `sudo docker login`, a user's Docker configuration belongs to root.
    server.run(
        "mkdir -p /usr/local/bin && ln -s /docker/docker-compose /usr/local/bin; "
        "chmod 666 /run/docker.sock; chown deploy /docker && "
        "mkdir -p /home/deploy/.docker && echo '{}' >/home/deploy/.docker/config.json && chmod -R go= /home/deploy/.docker"
    )
    site.set("CONTAINER_PIPELINE_SERVERS", f"deploy@{server.name}")
    version = site.deployed()
    assert site.environment()["PASSWORD"] == "a'b\"c $d ${e}"
    told = site("status", "--json").result["servers"][0]
    assert (told["version"], told["differs"]) == (version, [])
    server.run("chmod 600 /run/docker.sock")
    done = site("deploy", "--version", site.publish())
    assert (done.code, "Docker cannot be used: " in done.err, "WARNING" in done.err) == (1, True, False), done.err
    server.run("chmod 666 /run/docker.sock")


#: A real Compose that insists on an API which the engine does not have.
TOO_NEW = {
    "v2": (
        "/root/.docker/cli-plugins/docker-compose",
        "DOCKER_API_VERSION=1.99 exec /usr/local/lib/docker/cli-plugins/docker-compose",
    ),
    "v1": ("/usr/local/bin/docker-compose", "COMPOSE_API_VERSION=1.99 exec /usr/bin/docker-compose"),
}


@pytest.mark.parametrize("generation", ["v2", pytest.param("v1", marks=pytest.mark.matrix)])
def test_compose_incompatible_with_the_engine_changes_nothing(site: Site, server_factory, generation: str):
    server = server_factory("server-1", generation)
    first = site.on(server).deployed()
    second = site.deployed()
    before = site.container(), site.files()
    path, command = TOO_NEW[generation]
    server.run(
        f"mkdir -p {path.rpartition('/')[0]}; printf '#!/bin/sh\\n%s \"$@\"\\n' '{command}' >{path}; chmod +x {path}"
    )
    # What runs is deployed or rolled back to once more, too: Compose is not asked about its files before the switch.
    for word, version in (("deploy", site.publish()), ("rollback", first), ("deploy", second), ("rollback", second)):
        done = site(word, "--version", version)
        assert (done.code, "Compose cannot talk to the Docker engine" in done.err) == (1, True), done.err
        assert (site.container(), site.files()) == before
        assert site.left_over() == ""
    assert site.running() == second


@pytest.mark.parametrize("command", ["status", pytest.param("doctor", marks=pytest.mark.matrix)])
def test_full_memory_and_killed_runs_harm_no_run(site: Site, there: Server, command: str):
    deploy = ["deploy", "--version", site.publish()]

    # Without room anywhere nothing is touched.
    there.run("mount -t tmpfs -o size=4k tmpfs /dev/shm; mount -t tmpfs -o size=4k tmpfs /tmp")
    done = site(*deploy)
    assert (done.code, "there is no space for temporary files" in done.err) == (1, True)
    assert not (there.folder / "compose" / site.code).exists()
    there.run("umount -l /dev/shm /tmp")

    # A run uses the temporary folder if memory is full.
    for options, words in (
        ("size=4k", deploy),
        ("nr_inodes=1", ["status"]),
        ("nr_inodes=3", ["status"]),
        ("mode=555", ["status"]),
    ):
        there.run(f"mount -t tmpfs -o {options} tmpfs /dev/shm")
        assert site(*words).code == 0, options
        # What cleans up there may end after the last word.
        there.run('while [ -n "$(ls -d /tmp/container-pipeline.* /dev/shm/* 2>/dev/null)" ]; do sleep 0.1; done')
        there.run("umount -l /dev/shm")

    # The next run removes the login of one that was killed.
    run = site.start("deploy", "--version", site.publish("waits for ever"), "--timeout", "300")
    assert run.stderr
    while "waiting for health" not in run.stderr.readline():
        pass
    # All at once, the watchers too.
    there.run(
        "kill -9 $(for p in $(pgrep -x sh); do grep -q container-pipeline /proc/$p/cmdline && echo $p; done)",
        check=False,
    )
    run.communicate(timeout=30)
    settled(site)
    assert "config.json" in there.run("ls /dev/shm/container-pipeline.*/login")
    # What a living run has stays.
    there.run("mkdir /dev/shm/container-pipeline.other.1-$(sed 's/.*) //' /proc/1/stat | cut -d ' ' -f 20).abcdef")
    there.run("mkdir /dev/shm/container-pipeline.other.1-1.abcdef")
    site(command)
    assert [name.rpartition(".other.1-")[1] for name in there.run("ls /dev/shm").split()] == [".other.1-"]
    assert "1-1." not in there.run("ls /dev/shm")
