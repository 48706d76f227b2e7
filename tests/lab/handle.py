"""The running lab, for tests."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import describe, engine
from lab.box import Box
from lab.place import Place, find
from lab.registry import Registry


@dataclass(frozen=True)
class Server:
    """A server: shared (`lab.servers`) or private (`server_factory`)."""

    name: str
    host: str
    compose: str
    docker_host: str  # its engine, spoken to from this machine without SSH
    folder: Path  # what the server knows as /docker, seen from this machine (not where disk= made it a tmpfs)
    ssh_config: Path
    box: Box

    def run(self, script: str, *, user: str = "root", check: bool = True, timeout: float = 60) -> str:
        """Run a shell command there by SSH and return its output; with `check`, a failure raises CalledProcessError."""
        command = ["/usr/bin/ssh", "-F", str(self.ssh_config), f"{user}@{self.name}", script]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
        if check and done.returncode:
            raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
        return done.stdout

    def docker(self, *arguments: str) -> str:
        return engine.docker(self.docker_host, *arguments)

    def get(self, port: int, path: str = "/", patience: float = 10) -> Any:
        """Return the response of a published port, parsed if it is JSON; retries for `patience` seconds."""
        end = time.monotonic() + patience
        while True:
            try:
                connection = http.client.HTTPConnection(self.host, port, timeout=5)
                connection.request("GET", path)
                response = connection.getresponse()
                text = response.read().decode()
                return json.loads(text) if text.startswith(("{", "[")) else text
            except (OSError, http.client.HTTPException):
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def remove(self, code: str) -> None:
        """Remove a project: its containers, its network (an engine has addresses for about thirty) and its folder."""
        for one in engine.call(self.docker_host, "GET", "/containers/json?all=1", name=code):
            engine.call(self.docker_host, "DELETE", f"/containers/{one['Id']}?force=1&v=1")
        for one in engine.call(self.docker_host, "GET", "/networks", name=code):
            engine.call(self.docker_host, "DELETE", f"/networks/{one['Id']}")
        shutil.rmtree(self.folder / "compose" / code, ignore_errors=True)


class Lab:
    """`said` is lab.json; the other attributes are the parts that tests use most."""

    def __init__(self, said: dict[str, Any]) -> None:
        self.said = said
        self.home = Path(said["home"])
        self.place: Place = find(self.home)
        self.docker_host: str = said["engine"]["docker_host"]
        self.development = self._registry("development")
        self.production = self._registry("production")
        self.ssh_config = Path(said["ssh"]["config"])
        self.ssh_key = Path(said["ssh"]["key"])
        self.known_hosts = Path(said["ssh"]["known_hosts"])
        self.bin = Path(said["bin"])
        self.base_image: str = said["base_image"]
        self.small_image: str = said["small_image"]
        self.servers = [self._server(entry) for entry in said["servers"]]

    def _registry(self, name: str) -> Registry:
        return describe.registry(self.place, name, self.said["registries"][name])

    def _server(self, entry: dict[str, Any]) -> Server:
        box = describe.box(self.place, entry)
        return Server(box.name, box.address, box.compose, box.docker_host, box.folder / "docker", self.ssh_config, box)

    def environment(self, **more: str) -> dict[str, str]:
        """Return a build node's environment: this process' without its own settings, with the lab's, and an `ssh` that knows the servers."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DOCKER_", "CONTAINER_PIPELINE_", "LAB_"))
        }
        kept["PATH"] = f"{self.bin}:{kept.get('PATH', '/usr/bin:/bin')}"
        return {**kept, **describe.variables(self.said), **more}

    def docker(self, *arguments: str) -> str:
        """The build node's engine."""
        return engine.docker(self.docker_host, *arguments)
