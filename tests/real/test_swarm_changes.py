"""Changes of a release in a stack of Docker Swarm, and their rollback, on a real manager."""

from __future__ import annotations

import json

import pytest

from real.site import Site
from real.stacks import managed, services, stack, tasks

pytestmark = pytest.mark.slow


@pytest.fixture
def one_node(site: Site, server_factory) -> Site:
    """A Swarm of one manager, for a project with two files."""
    managed(site, server_factory(compose="none"))
    site.set("CONTAINER_PIPELINE_FILES", "page,setting")
    site.write("page", "first page\n")
    site.write("setting", "first setting\n")
    return site


def environment(site: Site) -> list[str]:
    form = "{{json .Spec.TaskTemplate.ContainerSpec.Env}}"
    return json.loads(site.servers[0].docker("service", "inspect", "-f", form, f"{site.code}_{site.code}"))


def said(site: Site, service: str) -> str:
    """Return what the running tasks of a service have printed."""
    return "".join(site.servers[0].docker("service", "logs", "--raw", task) for task in tasks(site, service))


def test_changes_reach_their_services_and_roll_back(one_node: Site):
    site = one_node
    image = f"{site.registry.address}/{site.code}:{site.publish()}"
    site.write("docker-compose.yml", stack(site, "proxy", image=image))
    # Docker's own variables in .env are the service's alone, and 200 kB of it arrive.
    steering = "DOCKER_DEFAULT_PLATFORM=no/such\nDOCKER_STACK_ORCHESTRATOR=none\nDOCKER_API_VERSION=1.1\nDOCKER_HOST=tcp://no:1\n"
    large = "".join(f"LARGE_{number}={str(number % 10) * 4096}\n" for number in range(50))
    site.write(".env", steering + "COMPOSE_HTTP_TIMEOUT=x\n" + large)
    first = site.deployed()
    assert {f"RELEASE={first}", *steering.split(), "COMPOSE_HTTP_TIMEOUT=x", *large.split()} <= set(environment(site))

    # Without a change no task is replaced; a changed file replaces those of the service that has it.
    ran = tasks(site, site.code), tasks(site, "proxy")
    assert site("deploy", "--version", first).code == 0
    assert (tasks(site, site.code), tasks(site, "proxy")) == ran
    for name, shown in (("page", "second page\nfirst setting\n"), ("setting", "second page\nsecond setting\n")):
        site.write(name, f"second {name}\n")
        assert site("deploy", "--version", first).code == 0
        assert (tasks(site, site.code), said(site, "proxy")) == (ran[0], shown)

    # A release that fails is rolled back with its services and files.
    site.write("docker-compose.yml", stack(site, "worker"))
    site.write("setting", "third setting\n")
    failed = site("deploy", "--version", site.publish("unhealthy"))
    assert (failed.code, services(site)) == (3, {site.code, "proxy"}), failed.err
    assert "here I am" in failed.err
    assert f"RELEASE={first}" in environment(site)
    assert (said(site, site.code), said(site, "proxy")) == (f"serving {first}\n", "second page\nsecond setting\n")

    # What an earlier release said is not why this one failed.
    failed = site("deploy", "--version", site.publish("exits"))
    assert (failed.code, services(site)) == (3, {site.code, "proxy"}), failed.err
    assert "cannot start: no database" in failed.err
    assert "here I am" not in failed.err

    # Services come and go with their release.
    site.deployed()
    assert services(site) == {site.code, "worker"}
    rolled_back = site("rollback")
    assert (rolled_back.code, services(site)) == (0, {site.code, "proxy"}), rolled_back.err
