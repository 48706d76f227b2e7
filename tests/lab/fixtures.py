"""Fixtures for tests. README.md in this folder has examples.

All tests and workers share `lab`: a test only adds to it, under its own `code`. Parts that a test stops, breaks, fills
or slows down come from a factory and belong to the test.
"""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from lab import compose, describe, gotools
from lab.box import Box
from lab.faultproxy import Fault, FaultProxy
from lab.handle import Lab, Server
from lab.place import LabError, free_port, home
from lab.project import Project
from lab.registry import Registry, configure, new_password
from lab.tcpproxy import TcpProxy
from lab.up import bring_up

Appended = tuple[tuple[str, str], ...]
_TURNS = itertools.count(secrets.randbelow(500))
_PRIVATE = range(101, 251)  # last part of the addresses of private servers


@pytest.fixture(scope="session")
def lab() -> Lab:
    """The running lab. A missing part is a failure in CI and a skip elsewhere."""
    try:
        return Lab(bring_up(home()))
    except LabError as error:
        missing_part(f"no lab: {error}")


def missing_part(what: str) -> NoReturn:
    """Fail in CI, and skip elsewhere: a part that the package registries have is not on this machine."""
    if os.environ.get("CI"):
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


@pytest.fixture
def code(request: pytest.FixtureRequest) -> Iterator[str]:
    """A unique project code. Its deploys on the shared servers are removed at the end."""
    name = f"test-{secrets.token_hex(5)}-re"
    yield name
    if "lab" in request.fixturenames:
        for server in request.getfixturevalue("lab").servers:
            server.remove(name)


@pytest.fixture
def port() -> int:
    """A port to publish on the shared servers: no other worker's, and no other test's for a long time."""
    return next_port()


def next_port() -> int:
    """Return a port of this worker's own thousand. It begins anywhere there: two runs may share a lab."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    return 10000 + 1000 * (worker % 14) + 2 * next(_TURNS) % 1000


@pytest.fixture
def project(tmp_path: Path, code: str, port: int) -> Project:
    """A small service that follows the convention; its image builds and starts quickly (see project.py)."""
    return Project(tmp_path / code, code, port)


@pytest.fixture
def registry_factory(tmp_path: Path) -> Iterator[Callable[..., Registry]]:
    """registry_factory(auth=True, delete=True, readonly=False, tls=False, names=()) → a running private registry.

    It can be stopped and started again: `registry.stop()`, `registry.start()`. With tls=True, `registry.certificate`
    is the file to trust; it is for the registry's address and for `names`.
    """
    made: list[Registry] = []

    def make(tls: bool = False, **options: Any) -> Registry:
        made.append(private_registry(tmp_path / f"registry-{len(made)}", tls=tls, **options))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def private_registry(folder: Path, *, tls: bool = False, **options: Any) -> Registry:
    """Start a registry in ``folder``; the caller ends it with `registry.stop()`. Options are those of `configure`."""
    certificate = folder / "certificate.pem" if tls else None
    one = Registry(folder.name, folder, f"127.0.0.1:{free_port()}", "tester", new_password(), certificate)
    configure(one, tls=tls, **options)
    one.start()
    return one


@pytest.fixture
def referrers_factory(tmp_path: Path) -> Iterator[Callable[..., Registry]]:
    """referrers_factory(page=100) → a running registry with the referrers API, in pages of that many; it asks for no login."""
    made: list[Registry] = []

    def make(page: int = 100) -> Registry:
        try:
            command = [str(gotools.referrers())]
        except LabError as error:
            missing_part(str(error))
        folder = tmp_path / f"referrers-{len(made)}"
        (folder / "storage").mkdir(parents=True)
        address = f"127.0.0.1:{free_port()}"
        command += ["-addr", address, "-blobs", str(folder / "storage"), "-page", str(page)]
        one = Registry(folder.name, folder, address, "tester", new_password(), command=tuple(command))
        made.append(one)
        one.start()
        return one

    yield make
    for one in made:
        one.stop()


@pytest.fixture(scope="session")
def gotool() -> Callable[[str], str]:
    """gotool("cosign") → the path of a pinned program, built by Go."""

    def path(name: str) -> str:
        try:
            return str(gotools.program(name))
        except LabError as error:
            missing_part(str(error))

    return path


@pytest.fixture
def server_factory(lab: Lab, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """server_factory(engine="own", compose="v2", disk="", appended=()) → a running private server.

    engine: "own" (2 s to start), "none" (no Docker on it), or "server-1" (it uses that shared server's engine and is up in
    0.3 s: published ports then answer at server-1's address, and bind mounts are of server-1's files).
    compose: "v2", "v1" or "none". disk: the size of /docker, such as "4m", to fill it up.
    appended: (path, text) pairs for files of the server that its engine reads when it starts, as /etc/hosts.
    `server.ssh_config` knows this server alone; `server.box.stop()` pulls its plug.
    """
    made: list[Box] = []

    def make(engine: str = "own", compose: str = "v2", disk: str = "", appended: Appended = ()) -> Server:
        if compose == "v1":
            _needs_v1()
        server = private_server(lab, tmp_path, engine, compose, disk, appended)
        made.append(server.box)
        return server

    yield make
    for box in made:
        box.remove()


def private_server(
    lab: Lab, folder: Path, engine: str = "own", compose: str = "v2", disk: str = "", appended: Appended = ()
) -> Server:
    """Start a private server; the caller ends it with `server.box.remove()`."""
    shared = next((str(one.box.sockets) for one in lab.servers if one.name == engine), engine)
    box = _reserve(lab, shared, compose, disk, appended)
    box.start(lab.ssh_key.with_suffix(".pub").read_text())
    folder = folder / box.name
    folder.mkdir()
    (folder / "known_hosts").write_text(describe.known_hosts_line(box))
    config = folder / "ssh_config"
    config.write_text(describe.ssh_config(lab.ssh_key, folder / "known_hosts", [box]))
    describe.commands(folder / "bin", config)
    return Server(box.name, box.address, compose, box.docker_host, box.folder / "docker", config, box)


def _needs_v1() -> None:
    if not compose.v1_installed():
        missing_part("no Compose v1 on this machine: Debian up to 12 and Ubuntu up to 22.04 package it")


def _reserve(lab: Lab, engine: str, compose: str, disk: str, appended: Appended) -> Box:
    """Reserve an address by creating a folder, so that no other worker takes it."""
    for last in _PRIVATE:
        box = Box(lab.place, f"private-{last}", last, engine, compose, disk, appended)
        try:
            box.folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return box
    raise LabError("all addresses for private servers are taken")


@pytest.fixture
def fault_proxy() -> Iterator[Callable[..., FaultProxy]]:
    """fault_proxy(target, *faults) → a proxy in front of `target` ("127.0.0.1:PORT"); see faultproxy.py."""
    made: list[FaultProxy] = []

    def make(target: str, *faults: Fault) -> FaultProxy:
        made.append(FaultProxy(target, *faults))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def tcp_proxy() -> Iterator[Callable[..., TcpProxy]]:
    """tcp_proxy(target, round_trip=0.05) → a distant `target` ("HOST:PORT"); `cut()` breaks what is open."""
    made: list[TcpProxy] = []

    def make(target: str, round_trip: float = 0) -> TcpProxy:
        made.append(TcpProxy(target, round_trip))
        return made[-1]

    yield make
    for one in made:
        one.close()
