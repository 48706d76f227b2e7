"""Starts, inspects and stops the whole lab."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab import baseimage, compose, describe, engine, install, network
from lab.box import Box, for_all
from lab.hudson import Hudson
from lab.place import LabError, Place, find, locked, read_description
from lab.process import run
from lab.registry import Registry, configure, new_password

_ROLES = {"development": ("developer", 1), "production": ("releaser", 2)}


def bring_up(home: Path, servers: int = 2) -> dict[str, Any]:
    """Start all parts of the lab that do not run; return the content of `lab.json`."""
    with locked(home):
        known = read_description(home)
        if known and len(known["servers"]) >= servers and all(running for _, running, _ in status(home)):
            return known
        _require_root()
        install.install(install.missing(install.LAB))
        place = find(home)
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o700)
        network.up(place)
        key = _ssh_key(home)
        registries = _registries(place)
        boxes = _boxes(place, max(servers, len(known["servers"]) if known else 0))
        found: dict[str, str] = {}

        def build_node() -> None:
            found["engine"] = engine.up(place)
            baseimage.up(found["engine"])

        compose.v2_binary()
        describe.write(place, "", registries, boxes)  # so that a partly started lab can be stopped
        work: list[Callable[[], None]] = [build_node]
        work += [registry.start for registry in registries.values() if not registry.running()]
        work += [_starter(box, key) for box in boxes if not box.running()]
        for_all(work)
        return describe.write(place, found["engine"], registries, boxes)


def bring_up_hudson(home: Path) -> None:
    """Start Hudson only on request: the war has 64 MB, and the start takes ten seconds."""
    one = _hudson(find(home))
    one.start()
    one.wait()


def _hudson(place: Place) -> Hudson:
    return Hudson(place.home / "hudson", place.port_base + 3)


def _require_root() -> None:
    if os.geteuid() != 0:
        raise LabError("the lab makes namespaces and mounts: run it as root (sudo make lab)")


def _starter(box: Box, key: str) -> Callable[[], None]:
    def start() -> None:
        box.stop()
        box.start(key)

    return start


def _ssh_key(home: Path) -> str:
    """Return the public half of the lab's user key."""
    private = home / "ssh" / "id_ed25519"
    if not private.exists():
        private.parent.mkdir(exist_ok=True)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(private))
    return private.with_suffix(".pub").read_text()


def _registries(place: Place) -> dict[str, Registry]:
    """Return both registries; the first time configures them, and later runs keep their passwords."""
    known = (read_description(place.home) or {}).get("registries", {})
    found = {}
    for name, (user, offset) in _ROLES.items():
        password = known.get(name, {}).get("password") or new_password()
        address = f"127.0.0.1:{place.port_base + offset}"
        found[name] = Registry(name, place.home / "registries" / name, address, user, password)
        if name not in known:
            configure(found[name])
    return found


def _boxes(place: Place, servers: int) -> list[Box]:
    """Return the servers: Compose v2 on odd ones, v1 on even ones if available."""
    second = "v1" if compose.v1_installed() else "v2"
    return [
        Box(place, f"server-{number}", _last(f"server-{number}"), compose="v2" if number % 2 else second)
        for number in range(1, servers + 1)
    ]


def _last(name: str) -> int:
    """Return the last part of the address of server-N or private-N."""
    kind, _, number = name.partition("-")
    return int(number) + (10 if kind == "server" else 0)


def status(home: Path) -> list[tuple[str, bool, str]]:
    """Return (name, whether it responds, place) of each part; empty without a lab."""
    known = read_description(home)
    if known is None:
        return []
    place = find(home)
    docker_host = known["engine"]["docker_host"]
    own = "started by the lab" if known["engine"]["own"] else "not started by the lab"
    rows = [("engine", bool(docker_host) and engine.answers(docker_host), f"{docker_host} ({own})")]
    for name, entry in known["registries"].items():
        registry = describe.registry(place, name, entry)
        rows.append((name, registry.running(), f"{registry.address} as {registry.user}"))
    for entry in known["servers"]:
        box = describe.box(place, entry)
        text = f"ssh -F {home / 'ssh_config'} {box.name} ({box.address}, Compose {box.compose})"
        rows.append((box.name, box.running(), text))
    hudson = _hudson(place)
    if hudson.running():
        rows.append(("hudson", hudson.answers(), f"JENKINS_URL={hudson.url}"))
    return rows


def take_down(home: Path) -> None:
    """End all parts and remove the folder; does nothing without a lab."""
    with locked(home):
        known = read_description(home)
        if known is None:
            return
        place = find(home)
        # By their folders, which includes the private servers of killed tests.
        boxes = [Box(place, path.name, _last(path.name)) for path in (home / "servers").glob("*-*")]
        registries = [describe.registry(place, name, entry) for name, entry in known["registries"].items()]
        for_all([_hudson(place).stop, *(box.stop for box in boxes), *(registry.stop for registry in registries)])
        engine.down(place)
        network.down(place)
        _unmount_below(home)
        for folder in (place.sockets, home):
            shutil.rmtree(folder, ignore_errors=True)


def _unmount_below(home: Path) -> None:
    """Return the mounts that a killed engine left."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted(points, key=len, reverse=True):
        if point.startswith(f"{home}/"):
            run("umount", "--lazy", point, check=False)
