"""What tests ask for. README.md in this folder tells it with examples.

`lab` is shared by all tests and all workers: a test only adds to it, under a `code` of its own. Whatever is to be
stopped, broken, filled or slowed down comes from a factory and is the test's own.
"""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from lab import compose, describe
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
_PRIVATE = range(101, 251)  # last part of the addresses of tests' own servers


@pytest.fixture(scope="session")
def lab() -> Lab:
    """The lab, brought up where it is not. A missing part is a failure in CI and a skip elsewhere."""
    try:
        return Lab(bring_up(home()))
    except LabError as error:
        _missing(f"no lab: {error}")


def _missing(what: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


@pytest.fixture
def code(request: pytest.FixtureRequest) -> Iterator[str]:
    """A project code that no other test has. What was deployed under it on the shared servers is removed at the end."""
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
    """A small service of the convention's form: its image is built and starts in a moment (see project.py)."""
    return Project(tmp_path / code, code, port)


@pytest.fixture
def registry_factory(tmp_path: Path) -> Iterator[Callable[..., Registry]]:
    """registry_factory(auth=True, delete=True, readonly=False, tls=False, names=()) → a running registry of the test's own.

    It can be stopped and started again: `registry.stop()`, `registry.start()`. With tls=True, `registry.certificate`
    is the file to trust; it is for the registry's address and for `names`.
    """
    made: list[Registry] = []

    def make(
        *,
        auth: bool = True,
        delete: bool = True,
        readonly: bool = False,
        tls: bool = False,
        names: Sequence[str] = (),
    ) -> Registry:
        folder = tmp_path / f"registry-{len(made)}"
        certificate = folder / "certificate.pem" if tls else None
        one = Registry(folder.name, folder, f"127.0.0.1:{free_port()}", "tester", new_password(), certificate)
        configure(one, auth=auth, delete=delete, readonly=readonly, tls=tls, names=names)
        made.append(one)
        one.start()
        return one

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def server_factory(lab: Lab, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """server_factory(engine="own", compose="v2", disk="", appended=()) → a running server of the test's own.

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
    """Start a server of one's own; whoever asks ends it with `server.box.remove()`."""
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
        _missing("no Compose v1 on this machine: Debian up to 12 and Ubuntu up to 22.04 package it")


def _reserve(lab: Lab, engine: str, compose: str, disk: str, appended: Appended) -> Box:
    """An address that no other worker takes: whoever makes the folder has it."""
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
