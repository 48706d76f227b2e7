"""Fixtures for tests on registries and servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from lab.handle import Lab, Server
from lab.registry import Registry
from real.agent import Agent
from real.site import Site
from real.workbench import Workbench


@pytest.fixture
def development(lab: Lab) -> Registry:
    """The lab's development registry with a login. A test that stops or breaks a registry makes its own."""
    return lab.development


@pytest.fixture
def production(lab: Lab) -> Registry:
    """The lab's production registry with a login."""
    return lab.production


@pytest.fixture
def agent(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    code: str,
    development: Registry,
    production: Registry,
) -> Agent:
    """The agent between ``development`` and ``production``, in an empty project folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    made = Agent(monkeypatch, capsys, folder, code)
    made.use("DOCKER_REGISTRY", development)
    made.use("DOCKER_REGISTRY_PROD", production)
    return made


@pytest.fixture
def site(
    lab: Lab,
    code: str,
    port: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Site:
    """A service for the lab's servers, deployed to the first of them (see site.py)."""
    return Site(lab, code, port, tmp_path / "site", monkeypatch, capsys).on(lab.servers[0])


@pytest.fixture
def there(site: Site, server_factory: Callable[..., Server]) -> Server:
    """A server of the test's own with the first one's engine, for tests that change its files; the service is deployed to it."""
    server = server_factory("server-1")
    site.on(server)
    return server


@pytest.fixture(params=[0, pytest.param(1, marks=pytest.mark.matrix)], ids=["compose-v2", "compose-v1"])
def either(site: Site, request: pytest.FixtureRequest) -> Site:
    """A site on a server with Compose v2 and, in the matrix, on one with v1; ``both_composes`` takes v1 out of the matrix."""
    return site.on(site.lab.servers[request.param])


@pytest.fixture
def engine(lab: Lab, code: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[docker.APIClient]:
    """The build node's engine, the agent's too; what is built there under ``code`` is removed at the end."""
    monkeypatch.setenv("DOCKER_HOST", lab.docker_host)
    monkeypatch.setenv("PATH", lab.environment()["PATH"])
    client = docker.APIClient(lab.docker_host, version="auto")
    yield client
    for image in client.images():
        for name in image["RepoTags"] or ():
            if f"/{code}:" in name:
                client.remove_image(name, force=True)
    client.close()


@pytest.fixture
def workbench(lab: Lab, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Workbench]:
    """A workbench for one of docker.sh's commands; its parameter is the namespace."""
    made = Workbench(lab, tmp_path / "project", getattr(request, "param", ""))
    yield made
    made.clean()
