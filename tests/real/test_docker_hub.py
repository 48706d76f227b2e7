"""DOCKER_REGISTRY=docker.io/team: engines, BuildKit and both Composes find the login, and prune finds the images.

Docker Hub is a registry of the test's own, which answers to Docker Hub's names on servers that have an engine of their own.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import docker
import pytest

from lab import ask
from lab.handle import Lab, Server
from lab.registry import Registry
from real.site import Site

API = "registry-1.docker.io"
HOSTS = (API, "docker.io", "index.docker.io")
DOCKERFILE = """\
FROM docker.io/team/base:1
RUN echo built
HEALTHCHECK --interval=0.2s CMD true
CMD ["sleep", "1000"]
"""


@pytest.fixture
def hub(registry_factory: Callable[..., Registry], monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Docker Hub for this process; it requires a login."""
    made = registry_factory(tls=True, names=HOSTS)
    known = socket.getaddrinfo

    def resolve(host: str, *more: Any, **named: Any) -> Any:
        if host not in HOSTS:
            return known(host, *more, **named)
        address, _, port = made.address.partition(":")
        return known(address, int(port), *more[1:], **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(made.certificate))
    return made


@pytest.fixture
def servers(lab: Lab, hub: Registry, server_factory: Callable[..., Server]) -> list[Server]:
    """One with Compose v2 and one with v1; their engines find the registry by Docker Hub's names, and trust it."""
    assert hub.certificate is not None
    gateway = lab.place.address(1)
    appended = (
        ("/etc/hosts", f"{gateway} {' '.join(HOSTS)}\n"),
        ("/etc/ssl/certs/ca-certificates.crt", hub.certificate.read_text()),
    )
    made = [server_factory(compose=compose, appended=appended) for compose in ("v2", "v1")]
    target = f"{gateway}:{hub.address.rpartition(':')[2]}"
    for server in made:
        server.run(f"iptables -w -t nat -A OUTPUT -d {gateway} -p tcp --dport 443 -j DNAT --to-destination {target}")
    return made


def test_docker_hub_images_are_built_pushed_and_deployed(site: Site, hub: Registry, servers: list[Server]):
    """The base image is private, too: a builder that does not find the login cannot pull it.

    Each server's engine builds once, for the other server, which has to pull.
    """
    engine = docker.APIClient(site.lab.docker_host, version="auto")
    engine.tag(site.lab.small_image, f"{hub.address}/team/base", "1")
    login = {"username": hub.user, "password": hub.password}
    assert "error" not in engine.push(f"{hub.address}/team/base", "1", auth_config=login)
    engine.remove_image(f"{hub.address}/team/base:1")
    engine.close()
    site.use(hub)
    site.set("DOCKER_REGISTRY", "docker.io/team")
    site.set("PATH", site.lab.environment()["PATH"])
    site.write("Dockerfile", DOCKERFILE)
    versions = []
    for builder, node, server in zip(("auto", "engine"), servers, reversed(servers)):
        site.on(server)
        site.set("CONTAINER_PIPELINE_BUILDER", builder)
        site.set("DOCKER_HOST", node.docker_host)
        done = site("ship", "--json")
        assert done.code == 0, done.err
        versions.append(done.result["version"])
        assert site.running() == versions[-1]
    assert ask.tags(hub, f"team/{site.code}") == [*versions, "latest"]


def test_prune_knows_docker_hubs_short_names(site: Site, engine: docker.APIClient):
    """Engines list docker.io/team/code as team/code."""
    versions = [f"2026112{day}080000" for day in range(1, 4)]
    for version in versions:
        container = engine.create_container("busybox:latest", ["true"])["Id"]
        engine.commit(container, f"docker.io/team/{site.code}", version, message=version)
        engine.remove_container(container)
    listed = engine.images(f"team/{site.code}")
    assert sorted(name for image in listed for name in image["RepoTags"]) == [f"team/{site.code}:{v}" for v in versions]
    site.set("DOCKER_HOST", site.lab.docker_host)
    for registry in ("docker.io/team", "index.docker.io/team"):
        site.set("DOCKER_REGISTRY", registry)
        done = site("prune", "--local", "--keep", "2", "--dry-run")
        assert done.out.splitlines() == [f"remove {registry}/{site.code}:{versions[0]} from the engine"], done.err
    assert site("prune", "--local", "--keep", "1").code == 0
    assert [image["RepoTags"] for image in engine.images(f"team/{site.code}")] == [[f"team/{site.code}:{versions[-1]}"]]
