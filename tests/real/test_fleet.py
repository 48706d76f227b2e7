"""`fleet` shows every code on every server, and says what is wrong."""

from __future__ import annotations

from real.site import Site


def test_fleet_shows_every_server_problems_first(site: Site):
    site.on(*site.lab.servers)
    first, version = site.deployed("plain"), site.deployed("plain")
    site.sh("echo '#' >> docker-compose.yml", site.lab.servers[1])
    done = site("fleet", "--code", site.code, "--disk", "--json")
    assert done.code == 0, done.err
    wrong, well = done.result["deployments"]
    assert [one["server"] for one in (wrong, well)] == ["server-2", "server-1"]
    assert [problem["kind"] for problem in wrong["problems"]] == ["edited"]
    assert wrong["edited"] == ["docker-compose.yml"]
    for one in (wrong, well):
        assert (one["version"], set(one["releases"])) == (version, {first, version})
        assert [(deploy["version"], deploy["outcome"]) for deploy in one["deploys"]] == [(first, "ok"), (version, "ok")]
        assert one["containers"][0]["state"] == "running"
        assert one["disk"] > 0
    assert "docker-compose.yml was edited" in done.err
    assert site("fleet", "--check", "--code", site.code).code == 1
