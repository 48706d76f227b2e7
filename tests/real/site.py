"""A service on servers for tests of deploys: images with a chosen behaviour, and the agent in this process."""

from __future__ import annotations

import base64
import fcntl
import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from container_pipeline.__main__ import main
from container_pipeline.model import CREATED
from lab import ask, engine, smallimage
from lab.handle import Lab, Server
from lab.registry import Registry
from real.agent import Outcome

_SERVE = "trap 'exit 0' TERM; rm -f /probed; mkdir -p /www; echo $VERSION > /www/index.html; echo serving $VERSION; httpd -f -p 8080 -h /www & wait"
_SLEEP = "trap 'exit 0' TERM; echo here I am; sleep 1000 & wait"
_TURN = "echo >> /turns; [ $(wc -l < /turns) -gt 1 ] || exit 3; "
#: A probe costs the engine a process in the container. The first one decides; once it has passed in this life of the container,
#: each later one waits before it asks again.
_GOOD = ("[ -e /probed ] && sleep 20; wget -q -O /dev/null http://127.0.0.1:8080/ || exit 1; touch /probed", 50)

#: For a test of ``either`` whose promise is one that Compose v1 keeps in its own way: `make test` tries both.
both_composes = pytest.mark.parametrize("either", [0, 1], ids=["compose-v2", "compose-v1"], indirect=True)

#: Behaviour → script, and the HEALTHCHECK's command and retries, where it has one.
BEHAVIOURS: dict[str, tuple[str, tuple[str, int] | None]] = {
    "healthy": (_SERVE, _GOOD),
    "plain": (_SERVE, None),
    "slow": (_SERVE.replace("httpd", "sleep 3; httpd"), _GOOD),
    "stubborn": (_SERVE.replace("'exit 0'", "''"), _GOOD),
    "unhealthy": (_SLEEP, ("echo no database; exit 1", 1)),
    "slow to stop": (_SLEEP.replace("'exit 0'", "'sleep 3; exit 0'"), ("echo no database; exit 1", 1)),
    "exits": ("echo cannot start: no database >&2; exit 3", None),
    "prints its environment": ("env; exit 3", None),
    "exits later": (_SERVE.replace("& wait", "& sleep 1; echo gave up; exit 4"), None),
    "exits once": (_TURN + _SERVE, _GOOD),
    "healthy between crashes": (_TURN + _SERVE.replace("& wait", "& sleep 1.5; echo no factory; exit 3"), _GOOD),
    "on loopback": (
        _SERVE.replace("httpd -f -p 8080", "httpd -p 127.8.9.7:8080 -h /www; httpd -f -p '[::ffff:127.0.0.1]:8080'"),
        None,
    ),
    "waits for ever": (_SLEEP, ("exit 1", 1000)),
}
_COMPOSE = """\
version: "3.5"
services:
  CODE:
    image: ${DOCKER_REGISTRY:-registry.example}/CODE:${VERSION:-latest}
    container_name: CODE
    hostname: CODE
    ports: ["PORT:8080"]
    ulimits: {memlock: {soft: -1, hard: -1}}
    env_file: [.env]
    environment: [TZ=Asia/Shanghai]
    restart: unless-stopped
"""
#: The file with the exact images of other services, where a release has any.
PINNED = "docker-compose.pinned.yml"
_VERSIONS = itertools.count(20261124000000 + os.getpid() % 10000)


class Site:
    """One project, its registry, its servers."""

    def __init__(
        self,
        lab: Lab,
        code: str,
        port: int,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.lab, self.code, self.port, self.folder = lab, code, port, folder
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self.servers: list[Server] = []
        folder.mkdir(parents=True, exist_ok=True)
        for name in [name for name in os.environ if name.startswith(("CONTAINER_PIPELINE_", "DOCKER_"))]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("LC_ALL", "C")
        monkeypatch.setenv("CONTAINER_PIPELINE_SSH_CONFIG", str(lab.ssh_config))
        monkeypatch.setenv("CONTAINER_PIPELINE_CODE", code)
        monkeypatch.setenv("CONTAINER_PIPELINE_SETTLE", "1")
        monkeypatch.setenv("CONTAINER_PIPELINE_TIMEOUT", "20")
        self.use(lab.development)
        self.write("docker-compose.yml", _COMPOSE.replace("CODE", code).replace("PORT", str(port)))
        self.write(".env", "ENV=test\n")

    def use(self, registry: Registry) -> None:
        """The registry for pushes and for servers' pulls."""
        self.registry = registry
        self.set("DOCKER_REGISTRY", registry.address)
        self.set("DOCKER_REGISTRY_USER", registry.user)
        self.set("DOCKER_REGISTRY_PASS", registry.password)

    def on(self, *servers: Server) -> Site:
        """Deploy to these."""
        self.servers = list(servers)
        self.set("CONTAINER_PIPELINE_SERVERS", ",".join(server.name for server in servers))
        if any(server.ssh_config != self.lab.ssh_config for server in servers):
            joined = self.folder / ".ssh_config"
            joined.write_text("".join(dict.fromkeys(server.ssh_config.read_text() for server in servers)))
            self.set("CONTAINER_PIPELINE_SSH_CONFIG", str(joined))
        return self

    def set(self, name: str, value: str) -> None:
        self._monkeypatch.setenv(name, value)

    def unset(self, name: str) -> None:
        self._monkeypatch.delenv(name)

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())

    def append(self, name: str, text: str) -> None:
        self.write(name, (self.folder / name).read_text() + text)

    def publish(self, behaviour: str = "healthy", version: str = "", created: str = "") -> str:
        """Push an image with this behaviour and, if given, this build time in its label; return its version."""
        version = version or str(next(_VERSIONS))
        script, probe = BEHAVIOURS[behaviour]
        config: dict[str, Any] = {
            "Cmd": ["sh", "-c", script],
            "Labels": {"service": self.code, "version": f"{version}-{next(_VERSIONS)}"},
        }
        if created:
            config["Labels"][CREATED] = created
        if probe:
            times = {"Interval": 200_000_000, "Timeout": 30_000_000_000, "Retries": probe[1]}
            config["Healthcheck"] = {"Test": ["CMD-SHELL", probe[0]], **times}
        smallimage.push(self.lab, self.registry, self.code, version, config)
        return version

    def login(self) -> Path:
        """Return a folder for DOCKER_CONFIG with the registry's login."""
        config = self.folder / ".docker"
        config.mkdir(exist_ok=True)
        auth = base64.b64encode(f"{self.registry.user}:{self.registry.password}".encode()).decode()
        (config / "config.json").write_text(json.dumps({"auths": {self.registry.address: {"auth": auth}}}))
        return config

    def built(self, version: str, created: str = "", revision: str = "") -> None:
        """Write the state files of a build and a push: the version that a deploy uses by default, and its digest."""
        digest = self.digest(version)
        state = {"schema": 1, "image": self.code, "version": version, "digest": digest}
        state |= {"created": created, "revision": revision}
        self.write(".docker_build_image", self.code + "\n")
        self.write(".docker_build_version", version + "\n")
        self.write(".docker_build.json", json.dumps(state))

    def digest(self, version: str) -> str:
        return ask.digest(self.registry, self.code, version)

    def __call__(self, *arguments: str) -> Outcome:
        """Run one command of the agent, in this process."""
        self._capsys.readouterr()
        code = main([arguments[0], "--project", str(self.folder), *arguments[1:]])
        out, err = self._capsys.readouterr()
        return Outcome(code, out, err)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Run one command of the agent in its own process."""
        command = [
            sys.executable,
            "-m",
            "container_pipeline",
            arguments[0],
            "--project",
            str(self.folder),
            *arguments[1:],
        ]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def deployed(self, behaviour: str = "healthy", *options: str) -> str:
        """Publish and deploy; return the version that now runs."""
        version = self.publish(behaviour)
        done = self("deploy", "--version", version, *options)
        assert done.code == 0, done.err
        return version

    def sh(self, script: str, server: Server | None = None) -> str:
        """Return a command's output in the project's folder on a server."""
        return (server or self.servers[0]).run(f"cd /docker/compose/{self.code} && {script}")

    def files(self, server: Server | None = None) -> dict[str, str]:
        """Return the live files with their content, without our own files, read from the disk that this machine sees too."""
        names = ["docker-compose.yml", ".env"]
        if (self._seen(server) / PINNED).exists():
            names.append(PINNED)
        return {name: (self._seen(server) / name).read_bytes().decode() for name in names}

    def _seen(self, server: Server | None) -> Path:
        """Return the project's folder on a server, as a path on this machine."""
        return (server or self.servers[0]).folder / "compose" / self.code

    def running(self, server: Server | None = None) -> str:
        """Return the container's image in the form of the Compose file, or ""."""
        host = (server or self.servers[0]).docker_host
        found = engine.call(host, "GET", "/containers/json", name=f"^/{self.code}$")
        return "".join(one["Image"].rpartition(":")[2] for one in found)

    def container(self) -> str:
        """Return the container on the first server and its start time."""
        one = self._inspected(self.servers[0])
        return f"{one['Id']} {one['State']['StartedAt']}"

    def environment(self, server: Server | None = None) -> dict[str, str]:
        """The environment of the container."""
        return dict(pair.partition("=")[::2] for pair in self._inspected(server or self.servers[0])["Config"]["Env"])

    def _inspected(self, server: Server) -> dict[str, Any]:
        """Return what the engine says of the container, asked on its socket: `docker` costs a process."""
        found: dict[str, Any] = engine.call(server.docker_host, "GET", f"/containers/{self.code}/json")
        return found

    def lock_is_free(self, server: Server | None = None) -> bool:
        """Return whether the lock is held; all servers of the lab share this machine's kernel."""
        with (self._seen(server) / ".lock").open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

    def left_over(self, server: Server | None = None, patience: float = 3) -> str:
        """Return the leftovers of a killed run; retries for ``patience`` seconds."""
        end = time.monotonic() + patience
        names = f"releases/.incoming* releases/.former* /dev/shm/container-pipeline.{self.code}.*"
        while True:
            found = self.sh(f"ls -d {names} 2>/dev/null || true", server)
            if not found or time.monotonic() > end:
                return found
            time.sleep(0.1)


def settled(site: Site, patience: float = 30) -> None:
    """Wait until no process of a run is left on the server."""
    end = time.monotonic() + patience
    while not site.lock_is_free():
        assert time.monotonic() < end, "the lock is still held"
        time.sleep(0.1)
