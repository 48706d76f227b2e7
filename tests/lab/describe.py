"""Describes the lab in files: lab.json for programs, env.sh for people, and SSH's files for both."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any

from lab import baseimage, engine
from lab.box import Box
from lab.place import Place
from lab.registry import Registry


def write(place: Place, docker_host: str, registries: dict[str, Registry], boxes: list[Box]) -> dict[str, Any]:
    """Write all files; return the content of lab.json."""
    said: dict[str, Any] = {
        "schema": 1,
        "home": str(place.home),
        "port_base": place.port_base,
        "engine": {"docker_host": docker_host, "own": docker_host == engine.own_host(place)},
        "registries": {
            name: {"address": one.address, "user": one.user, "password": one.password}
            for name, one in registries.items()
        },
        "servers": [
            {
                "name": box.name,
                "host": box.address,
                "port": 22,
                "user": "root",
                "compose": box.compose,
                "docker_host": box.docker_host,
                "folder": str(box.folder / "docker"),
                "last": box.last,
            }
            for box in boxes
        ],
        "ssh": {
            "config": str(place.home / "ssh_config"),
            "key": str(place.home / "ssh" / "id_ed25519"),
            "known_hosts": str(place.home / "ssh" / "known_hosts"),
        },
        "bin": str(place.home / "bin"),
        "base_image": baseimage.PYTHON,
        "small_image": baseimage.SMALL,
    }
    _private(place.description, json.dumps(said, indent=2) + "\n")
    if docker_host:
        _ssh(place, boxes)
        _commands(place)
        _private(place.home / "env.sh", _environment(said))
    return said


def registry(place: Place, name: str, entry: dict[str, Any]) -> Registry:
    return Registry(name, place.home / "registries" / name, entry["address"], entry["user"], entry["password"])


def box(place: Place, entry: dict[str, Any]) -> Box:
    return Box(place, entry["name"], entry["last"], compose=entry["compose"])


def variables(said: dict[str, Any]) -> dict[str, str]:
    """Return the environment of a build node in this lab."""
    development, production = said["registries"]["development"], said["registries"]["production"]
    return {
        "DOCKER_REGISTRY": development["address"],
        "DOCKER_REGISTRY_USER": development["user"],
        "DOCKER_REGISTRY_PASS": development["password"],
        "DOCKER_REGISTRY_PROD": production["address"],
        "DOCKER_REGISTRY_PROD_USER": production["user"],
        "DOCKER_REGISTRY_PROD_PASS": production["password"],
        "DOCKER_HOST": said["engine"]["docker_host"],
        "CONTAINER_PIPELINE_DEFAULT_SERVERS": ",".join(server["name"] for server in said["servers"]),
    }


def known_hosts_line(one: Box) -> str:
    key = one.host_key.with_suffix(".pub").read_text().split()
    return f"{one.name},{one.address} {key[0]} {key[1]}\n"


def ssh_config(key: Path, known_hosts: Path, boxes: list[Box]) -> str:
    """Return the strict ssh configuration, which refuses host keys that are not in `known_hosts`."""
    hosts = "".join(f"Host {one.name}\n    HostName {one.address}\n    User root\n\n" for one in boxes)
    names = " ".join(f"{one.name} {one.address}" for one in boxes)
    return (
        f"{hosts}Host {names}\n    IdentityFile {key}\n    IdentitiesOnly yes\n    UserKnownHostsFile {known_hosts}\n"
        "    GlobalKnownHostsFile /dev/null\n    StrictHostKeyChecking yes\n"
    )


def commands(folder: Path, config: Path) -> None:
    """Write wrappers of ssh and related commands with this configuration; with `folder` first on PATH, names work as from ~/.ssh."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("ssh", "scp", "sftp"):
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec /usr/bin/{name} -F {shlex.quote(str(config))} "$@"\n')
        script.chmod(0o755)
    docker = folder / "docker"
    docker.unlink(missing_ok=True)
    docker.symlink_to(engine.docker_command())


def _ssh(place: Place, boxes: list[Box]) -> None:
    known_hosts = place.home / "ssh" / "known_hosts"
    known_hosts.write_text("".join(known_hosts_line(one) for one in boxes))
    (place.home / "ssh_config").write_text(ssh_config(place.home / "ssh" / "id_ed25519", known_hosts, boxes))


def _commands(place: Place) -> None:
    commands(place.home / "bin", place.home / "ssh_config")


def _environment(said: dict[str, Any]) -> str:
    lines = ["# The lab's environment:  . .lab/env.sh"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in variables(said).items()]
    lines.append(f"export LAB_SSH_CONFIG={shlex.quote(said['ssh']['config'])}")
    # The program too, where `make venv` has installed it.
    programs = Path(__file__).parents[2] / ".venv/bin"
    lines.append(f"PATH={shlex.quote(said['bin'])}:{shlex.quote(str(programs))}:$PATH")
    return "\n".join(lines) + "\n"


def _private(path: Path, text: str) -> None:
    part = path.with_suffix(".new")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    part.rename(path)
