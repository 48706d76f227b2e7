"""The build node's Docker engine: a running one, else the lab's own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lab import network
from lab.place import LabError, Place
from lab.process import SYSTEM_PATH, alive, run, start, stop, wait_for

DEFAULT_HOST = "unix:///var/run/docker.sock"


def socket_of(docker_host: str) -> Path:
    if not docker_host.startswith("unix://"):
        raise LabError(f"the lab needs an engine on this machine (unix://…), not DOCKER_HOST={docker_host}")
    return Path(docker_host[len("unix://") :])


def answers(docker_host: str) -> bool:
    """Return whether an engine responds to /_ping there."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(3)
        try:
            client.connect(str(socket_of(docker_host)))
            client.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in client.recv(64)
        except OSError:
            return False


class _Connection(http.client.HTTPConnection):
    def __init__(self, docker_host: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = str(socket_of(docker_host))

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def call(docker_host: str, method: str, path: str, **filters: str) -> Any:
    """Send one request to the engine and return its JSON, without starting the docker command."""
    query = f"filters={quote(json.dumps({name: [value] for name, value in filters.items()}))}" if filters else ""
    with contextlib.closing(_Connection(docker_host)) as connection:
        connection.request(method, f"{path}{'&' if '?' in path else '?'}{query}")
        response = connection.getresponse()
        text = response.read().decode()
        if response.status >= 400:
            raise LabError(f"the engine answered {response.status} to {method} {path}: {text.strip()}")
        return json.loads(text) if text else None


def docker_command() -> str:
    """Return the docker client; the distribution's own comes first, since it fits its engine, BuildKit included."""
    found = "/usr/bin/docker" if Path("/usr/bin/docker").exists() else shutil.which("docker")
    if not found:
        raise LabError("the docker command is missing; install docker.io")
    return found


def docker(docker_host: str, *arguments: str, timeout: float = 120) -> str:
    return run(docker_command(), "-H", docker_host, *arguments, timeout=timeout)


def pidfile(place: Place) -> Path:
    return place.home / "engine" / "engine.pid"


def own_host(place: Place) -> str:
    return f"unix://{place.sockets}/engine.sock"


def find_running(place: Place) -> str | None:
    """Return DOCKER_HOST if it is set (then it must respond), else the machine's engine, else the lab's."""
    chosen = os.environ.get("DOCKER_HOST")
    if chosen and chosen != own_host(place):
        if not answers(chosen):
            raise LabError(f"no Docker engine answers at DOCKER_HOST={chosen}; start it or unset DOCKER_HOST")
        return chosen
    return next((host for host in (own_host(place), DEFAULT_HOST) if answers(host)), None)


def up(place: Place) -> str:
    """Return the address of an engine; start one if none runs."""
    running = find_running(place)
    if running:
        return running
    folder, bridge = place.home / "engine", network.engine_bridge(place)
    place.sockets.mkdir(parents=True, exist_ok=True)
    if not network.interface(bridge):
        run("ip", "link", "add", bridge, "type", "bridge")
        run("ip", "address", "add", f"10.214.{place.number}.1/24", "dev", bridge)
        run("ip", "link", "set", bridge, "up")
    (folder / "dockerd.pid").unlink(missing_ok=True)  # of a killed one: its id may be reused
    command = [
        "dockerd", "-H", own_host(place), "--data-root", str(folder / "data"), "--exec-root", str(place.sockets / "x"),
        "-p", str(folder / "dockerd.pid"), "--bridge", bridge, "--exec-opt", "native.cgroupdriver=cgroupfs",
        *runtime_options(),
    ]  # fmt: skip
    start(pidfile(place), command, folder / "engine.log")
    wait_for("the Docker engine", lambda: answers(own_host(place)), pidfile(place), folder / "engine.log")
    return own_host(place)


def down(place: Place) -> None:
    """End the lab's own engine with its containers; leave any other engine alone."""
    if alive(pidfile(place)) is not None:
        running = docker(own_host(place), "ps", "-q").split()
        if running:
            docker(own_host(place), "kill", *running)
        stop(pidfile(place), patience=20)


@lru_cache(maxsize=1)
def runtime_options() -> tuple[str, ...]:
    """Return dockerd's options for the runtime without memlock limits, if this machine cannot raise them."""
    env = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}"}
    probe = ["prlimit", "--memlock=unlimited:unlimited", "true"]
    if subprocess.run(probe, capture_output=True, env=env).returncode == 0:
        return ()
    return ("--add-runtime", f"lab={Path(__file__).with_name('oci-runtime')}", "--default-runtime", "lab")
