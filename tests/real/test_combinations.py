"""Compose v1 and v2 and Swarm, with and without sudo, environments and files, in both strategies: all of them deploy."""

from __future__ import annotations

import json

import pytest

from real.combinations import COMBINATIONS, MODES, RUN_BY
from real.site import Site

pytestmark = [pytest.mark.slow, pytest.mark.matrix]


def prepared(site: Site, mode: str, server_factory) -> Site:
    """Deploy by the project's file alone, to a server of this mode."""
    site.on(site.lab.servers[MODES.index(mode)] if mode != "swarm" else server_factory(compose="none"))
    if mode == "swarm":
        site.servers[0].docker("swarm", "init", "--advertise-addr", site.servers[0].host)
    site.unset("CONTAINER_PIPELINE_SERVERS")
    site.set("CONTAINER_PIPELINE_SETTLE", "1")
    return site


def container(site: Site) -> tuple[str, str, str]:
    """Return the tag, ENV and the mounted page ("" for none) of the only container of the project that runs."""
    server = site.servers[0]
    [one] = server.docker("ps", "-q", "--filter", f"name={site.code}").split()
    config = json.loads(server.docker("inspect", "-f", "{{json .Config}}", one))
    tag = config["Image"].partition("@")[0].rpartition(":")[2]
    values = dict(value.partition("=")[::2] for value in config["Env"])
    return tag, values["ENV"], server.docker("exec", one, "sh", "-c", "[ ! -e /page ] || cat /page")


@pytest.mark.parametrize("mode", MODES)
def test_every_combination_that_is_not_refused_runs(site: Site, server_factory, mode: str):
    prepared(site, mode, server_factory)
    versions = site.publish(), site.publish()
    chosen = [one for one in COMBINATIONS if one.mode == mode and not one.refused and one.test == RUN_BY]
    for number, one in enumerate(chosen):
        if one.sudo:
            site.servers[0].run(f"chown -R deploy /docker/compose/{site.code}")
        for name in (".env", "test.env"):
            (site.folder / name).unlink(missing_ok=True)
        for name, text in one.project(site.code, site.servers[0].name, f"page {number}").items():
            site.write(name, text)
        version = versions[number % 2]
        done = site("deploy", "--version", version, *(("--environment", "test") if one.environment else ()))
        assert done.code == 0, (one, done.err)
        page = f"page {number}" if one.files else ""
        assert container(site) == (version, "of the test", page), one
