"""The surroundings of a company's Jenkins: two registries, the servers test-1 and web-1, and their credentials."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from groovy.node import Node
from lab import ask
from lab.box import Box
from lab.fixtures import private_registry, private_server
from lab.handle import Lab, Server
from lab.registry import Registry


@dataclass
class Company:
    """All of it private to the tests of this folder, and empty at the start of each."""

    lab: Lab
    servers: dict[str, Server]
    development: Registry
    production: Registry
    ssh_config: Path
    known_hosts: Path

    def credentials(self, **more: dict[str, str]) -> dict[str, Any]:
        """The credentials of this Jenkins by id; ``more`` are a test's own."""
        return {
            "registry-login": _login(self.development),
            "production-login": _login(self.production),
            "deploy-key": {
                "type": "sshUserPrivateKey",
                "username": "deploy",
                "content": self.lab.ssh_key.read_text(),
                "name": "key",
            },
            "servers-known-hosts": {"type": "file", "content": self.known_hosts.read_text(), "name": "known_hosts"},
            **more,
        }

    def equip(self, node: Node, *, production: bool = True, logins: bool = True, key: bool = True) -> None:
        """Set the node up as /etc/profile of a company's node does it."""
        roles = {"DOCKER_REGISTRY": self.development, "DOCKER_REGISTRY_PROD": self.production}
        for variable, registry in roles.items():
            if registry is self.production and not production:
                continue
            node.environment[variable] = registry.address
            if logins:
                node.environment[f"{variable}_USER"] = registry.user
                node.environment[f"{variable}_PASS"] = registry.password
        node.environment["DOCKER_HOST"] = self.lab.docker_host
        node.environment["CONTAINER_PIPELINE_SETTLE"] = "1"
        node.environment["CONTAINER_PIPELINE_SSH_CONFIG"] = str(self.ssh_config)
        if key:
            node.environment["CONTAINER_PIPELINE_SSH_KEY"] = str(self.lab.ssh_key)
            node.environment["CONTAINER_PIPELINE_KNOWN_HOSTS"] = str(self.known_hosts)

    def tags(self, code: str) -> tuple[list[str], list[str]]:
        """Return what the development and the production registry hold."""
        return ask.tags(self.development, code), ask.tags(self.production, code)


def _login(registry: Registry) -> dict[str, str]:
    return {"type": "usernamePassword", "username": registry.user, "password": registry.password}


@pytest.fixture(scope="package")
def two_servers(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    made: list[Box] = []
    servers = {}
    for name in ("test-1", "web-1"):
        server = private_server(lab, tmp_path_factory.mktemp(name))
        made.append(server.box)
        # The user of docs/servers.md, for deploys alone.
        server.run("chown deploy $(readlink -f /run/docker.sock) && install -d -o deploy -g deploy /docker/compose")
        servers[name] = server
    yield servers
    for box in made:
        box.remove()


@pytest.fixture(scope="package")
def two_registries(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Registry]]:
    made = [private_registry(tmp_path_factory.mktemp(name) / "registry") for name in ("development", "production")]
    yield made
    for one in made:
        one.stop()


@pytest.fixture
def company(
    lab: Lab, two_servers: dict[str, Server], two_registries: list[Registry], tmp_path: Path
) -> Iterator[Company]:
    config, known_hosts = tmp_path / "ssh_config", tmp_path / "known_hosts"
    config.write_text("".join(f"Host {name}\n    HostName {one.host}\n" for name, one in two_servers.items()))
    lines = []
    for name, one in two_servers.items():
        for line in one.ssh_config.with_name("known_hosts").read_text().splitlines():
            lines += [line, " ".join([name, *line.split()[1:]])]
    known_hosts.write_text("\n".join(lines) + "\n")
    yield Company(lab, two_servers, *two_registries, config, known_hosts)
    for code in ("aglaia-web-re", "aglaia-api-re"):
        for server in two_servers.values():
            if (server.folder / "compose" / code).exists():
                server.remove(code)
        for registry in two_registries:
            registry.forget(code)
