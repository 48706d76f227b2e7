"""With start-first, the new container is healthy before the old one stops, so one always serves."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from lab import engine
from real.site import Site


def names(site: Site, **filters: str) -> list[str]:
    """Return the names of the project's running containers, asked on the engine's socket."""
    label = f"com.docker.compose.project={site.code}"
    found = engine.call(site.servers[0].docker_host, "GET", "/containers/json", label=label, **filters)
    return [one["Names"][0].removeprefix("/") for one in found]


@contextmanager
def events(site: Site) -> Iterator[Iterator[tuple[float, str]]]:
    """Yield the events of the site's containers from now on, as they come: time, and ``ACTION NAME``."""
    command = [engine.docker_command(), "-H", site.servers[0].docker_host, "events", "--since", f"{time.time():.6f}"]
    filters = ("--filter", f"label=com.docker.compose.project={site.code}", "--filter", "type=container")
    form = ("--format", "{{.TimeNano}} {{.Action}} {{.Actor.Attributes.name}}")
    with subprocess.Popen([*command, *filters, *form], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield ((int(line.split()[0]) / 1e9, line.split(maxsplit=1)[1].strip()) for line in process.stdout)
        finally:
            process.terminate()


def start_of(site: Site, name: str) -> str:
    """Return a container's id and start time."""
    one = engine.call(site.servers[0].docker_host, "GET", f"/containers/{name}/json")
    return f"{one['Id']} {one['State']['StartedAt']}"


def test_start_first_always_keeps_a_healthy_container(either: Site):
    site = either
    site.set("CONTAINER_PIPELINE_STRATEGY", "start-first")
    site.set("CONTAINER_PIPELINE_SETTLE", "2")
    site.set("CONTAINER_PIPELINE_FILES", "conf")
    site.write("conf/app.ini", "one\n")
    text = (site.folder / "docker-compose.yml").read_text()
    # Two containers share a range of ports. The fixed name of a companion does not matter.
    text = text.replace(f"{site.port}:8080", f"{site.port}-{site.port + 1}:8080")
    text = text.replace("env_file:", "volumes: ['./conf:/conf']\n    env_file:")
    companion = (
        f"  cache:\n    image: ${{DOCKER_REGISTRY}}/{site.code}:${{VERSION}}\n    container_name: {site.code}-cache\n"
    )
    command = "    entrypoint: sleep 1000\n    stop_grace_period: 0s\n    healthcheck: {disable: true}\n"
    lines = [line for line in text.splitlines(keepends=True) if "container_name" not in line]
    site.write("docker-compose.yml", "".join(lines) + companion + command)
    first = site.deployed()
    before = set(names(site))
    [old] = before - {f"{site.code}-cache"}
    started, ports = start_of(site, old), [port(site, old)]
    assert site.servers[0].get(ports[0]).strip() == first
    # A failure never stops the old container, nor do other files.
    site.write("conf/app.ini", "two\n")
    assert site("deploy", "--version", site.publish("unhealthy")).code == 3
    assert (set(names(site)), start_of(site, old)) == (before, started)
    assert site.servers[0].docker("exec", old, "cat", "/conf/app.ini") == "one\n"
    # One of both is healthy at each moment.
    counts: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            counts.append(len(names(site, health="healthy")))
            over.wait(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with events(site) as happened:
        try:
            version = site.deployed()
        finally:
            over.set()
            watcher.join()
        assert min(counts) >= 1
        [new] = {*names(site)} - {f"{site.code}-cache"}
        seen = list[tuple[float, str]]()
        while not seen or seen[-1][1] != f"die {old}":
            seen.append(next(happened))
    at = {what: when for when, what in seen}
    # A proxy that looks up names often enough has learned the new container's before the old one stops.
    assert at[f"die {old}"] - at[f"health_status: healthy {new}"] > 2
    assert new != old
    # The new container is started once: to start it again would be the gap.
    assert [what for _when, what in seen].count(f"start {new}") == 1
    assert site.servers[0].docker("inspect", "-f", "{{.Config.Image}}", new).strip().endswith(version)
    assert site.servers[0].docker("exec", new, "cat", "/conf/app.ini") == "two\n"
    ports.append(port(site, new))
    assert site.servers[0].get(ports[1]).strip() == version
    assert sorted(ports) == [site.port, site.port + 1]
    assert site("status", "--json").result["servers"][0]["differs"] == []


def port(site: Site, name: str) -> int:
    return int(site.servers[0].docker("port", name, "8080/tcp").split()[0].rpartition(":")[2])


def test_start_first_refuses_a_fixed_port_without_changes(site: Site):
    version = site.publish()
    site.set("CONTAINER_PIPELINE_STRATEGY", "start-first")
    done = site("deploy", "--version", version)
    assert done.code == 1
    assert "which two containers cannot share" in done.err, done.err
    assert names(site) == []
