"""With start-first, the new container is healthy before the old one stops, so one always serves."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab import engine
from real.site import Site


@pytest.fixture
def behind_a_proxy(either: Site) -> Site:
    text = (either.folder / "docker-compose.yml").read_text()
    lines = [line for line in text.splitlines(keepends=True) if "ports:" not in line]
    either.write("docker-compose.yml", "".join(lines))
    either.set("CONTAINER_PIPELINE_STRATEGY", "start-first")
    return either


def names(site: Site, *options: str) -> list[str]:
    server = site.servers[0]
    filters = ("--filter", f"label=com.docker.compose.project={site.code}", *options)
    return server.docker("ps", *filters, "--format", "{{.Names}}").split()


@contextmanager
def events(site: Site) -> Iterator[Iterator[tuple[float, str]]]:
    """Yield the events of the site's containers from now on, as they come: time, and ``ACTION NAME``."""
    command = [engine.docker_command(), "-H", site.servers[0].docker_host, "events", "--since", str(int(time.time()))]
    filters = ("--filter", f"label=com.docker.compose.project={site.code}", "--filter", "type=container")
    form = ("--format", "{{.TimeNano}} {{.Action}} {{.Actor.Attributes.name}}")
    with subprocess.Popen([*command, *filters, *form], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield ((int(line.split()[0]) / 1e9, line.split(maxsplit=1)[1].strip()) for line in process.stdout)
        finally:
            process.terminate()


def test_start_first_always_keeps_a_healthy_container(behind_a_proxy: Site):
    site = behind_a_proxy
    site.set("CONTAINER_PIPELINE_SETTLE", "4")
    site.deployed()
    [old] = names(site)
    counts: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            counts.append(len(names(site, "--filter", "health=healthy")))

    watcher = threading.Thread(target=watch)
    watcher.start()
    with events(site) as happened:
        try:
            version = site.deployed()
        finally:
            over.set()
            watcher.join()
        assert min(counts) >= 1
        [new] = names(site)
        healthy = next(at for at, what in happened if what == f"health_status: healthy {new}")
        stopped = next(at for at, what in happened if what == f"die {old}")
    # A proxy that looks up names often enough has learned the new container's before the old one stops.
    assert stopped - healthy > 4
    assert new != old
    assert site.servers[0].docker("inspect", "-f", "{{.Config.Image}}", new).strip().endswith(version)
    assert site("status", "--json").result["servers"][0]["differs"] == []


def test_start_first_failure_never_stops_the_old_container(behind_a_proxy: Site):
    site = behind_a_proxy
    # The fixed name of a companion does not matter.
    companion = (
        f"  cache:\n    image: ${{DOCKER_REGISTRY}}/{site.code}:${{VERSION}}\n    container_name: {site.code}-cache\n"
    )
    site.append("docker-compose.yml", companion + "    entrypoint: sleep 1000\n    healthcheck: {disable: true}\n")
    site.deployed()
    before = set(names(site))
    [old] = before - {f"{site.code}-cache"}
    started = site.servers[0].docker("inspect", "-f", "{{.State.StartedAt}}", old)
    assert site("deploy", "--version", site.publish("unhealthy")).code == 3
    assert set(names(site)) == before
    assert site.servers[0].docker("inspect", "-f", "{{.State.StartedAt}}", old) == started


def start_of(site: Site, name: str) -> str:
    return site.servers[0].docker("inspect", "-f", "{{.Id}} {{.State.StartedAt}}", name)


def test_other_files_change_nothing_of_that(behind_a_proxy: Site):
    site = behind_a_proxy
    text = (site.folder / "docker-compose.yml").read_text()
    site.write("docker-compose.yml", text.replace("env_file:", "volumes: ['./conf:/conf']\n    env_file:"))
    site.set("CONTAINER_PIPELINE_FILES", "conf")
    site.write("conf/app.ini", "one\n")
    site.deployed()
    [old] = names(site)
    started = start_of(site, old)
    site.write("conf/app.ini", "two\n")
    assert site("deploy", "--version", site.publish("unhealthy")).code == 3
    assert (names(site), start_of(site, old)) == ([old], started)
    assert site.servers[0].docker("exec", old, "cat", "/conf/app.ini") == "one\n"
    # The new container is started once: to start it again would be the gap.
    begun: list[str] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            begun.extend(site.servers[0].docker("ps", "-aq", "--filter", f"name={site.code}").split())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        site.deployed()
    finally:
        over.set()
        watcher.join()
    [new] = names(site)
    assert len(set(begun)) == 2
    assert site.servers[0].docker("exec", new, "cat", "/conf/app.ini") == "two\n"


def test_start_first_refuses_a_fixed_port_without_changes(site: Site):
    version = site.publish()
    site.set("CONTAINER_PIPELINE_STRATEGY", "start-first")
    done = site("deploy", "--version", version)
    assert done.code == 1
    assert "which two containers cannot share" in done.err, done.err
    assert names(site) == []


def test_start_first_shares_a_range_of_ports(either: Site):
    site = either
    text = (site.folder / "docker-compose.yml").read_text()
    site.write("docker-compose.yml", text.replace(f"{site.port}:8080", f"{site.port}-{site.port + 1}:8080"))
    site.set("CONTAINER_PIPELINE_STRATEGY", "start-first")
    ports = []
    for _turn in range(2):
        version = site.deployed()
        [name] = names(site)
        ports.append(site.servers[0].docker("port", name, "8080/tcp").split()[0].rpartition(":")[2])
        assert site.servers[0].get(int(ports[-1])).strip() == version
    assert sorted(ports) == [str(site.port), str(site.port + 1)]
