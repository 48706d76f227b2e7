"""Servers with a new Docker: an engine that refuses clients of an older API, as Docker 29 does."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator

import pytest

from container_pipeline.remote import transfer
from lab import compose, engine
from lab.engineproxy import EngineProxy
from lab.handle import Server
from real.site import Site


@pytest.fixture
def renew(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], EngineProxy]]:
    """renew(): from now on, the site's first server has Docker 29."""
    made: list[EngineProxy] = []
    genuine: Callable[..., str] = transfer.program

    def make() -> EngineProxy:
        server = site.servers[0]
        own = engine.socket_of(server.docker_host)
        made.append(EngineProxy(own.with_name(f"{site.code}.sock"), own, "1.41"))
        host = f"DOCKER_HOST=unix:///run/lab/{site.code}.sock\nexport DOCKER_HOST\n"
        monkeypatch.setattr(transfer, "program", lambda *given: host + genuine(*given))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_compose_v1_is_refused_before_the_switch(
    site: Site, renew: Callable[[], EngineProxy], monkeypatch: pytest.MonkeyPatch
):
    site.on(site.lab.servers[1])
    renew()
    monkeypatch.setattr("container_pipeline.commands.start.doctor.DEADLINE", 60.0)
    told = site("doctor").out
    assert re.search(r"✗ Compose 1\.\S+ cannot talk to Docker .* API version is 1.44", told), told
    assert "install docker-compose" in told
    done = site("deploy", "--version", site.publish())
    assert done.code == 1, done.err
    assert "Compose cannot talk to the Docker engine: " in done.err
    assert "Minimum supported API version is 1.44" in done.err
    assert "switching" not in done.err
    assert site.sh("ls; ls releases").split() == ["releases"]


@pytest.mark.matrix
@pytest.mark.parametrize(("version", "works"), [("2.23.3", False), ("2.24.7", True), ("2.40.3", True)])
def test_compose_since_2_24_speaks_to_docker_29(
    site: Site,
    renew: Callable[[], EngineProxy],
    server_factory: Callable[..., Server],
    version: str,
    works: bool,
):
    server = server_factory("server-1", "none")
    shutil.copy(compose.fetched(version), server.folder / "docker-compose")
    place = "/usr/local/lib/docker/cli-plugins"
    server.run(f"mkdir -p {place} && ln -s /docker/docker-compose {place}")
    site.on(server)
    first = site.deployed()
    proxy = renew()
    before = site.container()
    done = site("deploy", "--version", site.publish())
    assert (done.code, bool(proxy.refused)) == ((0, False) if works else (1, True)), done.err
    if works:
        assert site("deploy", "--version", site.publish("exits")).code == 3
        assert site("rollback").code == 0
        assert site.running() == first
    else:
        assert "Compose cannot talk to the Docker engine: " in done.err
        assert site.container() == before
