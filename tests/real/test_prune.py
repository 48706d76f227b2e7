"""Pruning a real registry."""

from __future__ import annotations

import pytest

from container_pipeline.commands.registry import prune
from container_pipeline.commands.server import history
from container_pipeline.errors import ServerError
from container_pipeline.plan import prune as prune_plan
from lab import ask, images
from lab.faultproxy import Fault

DAYS = [f"202611{day:02d}080000" for day in range(1, 8)]


@pytest.fixture
def filled(development, code):
    """Seven versions; latest is the second. Return their images by version."""
    found = {day: images.put_image(development, code, day) for day in DAYS}
    images.put_manifest(development, code, "latest", found[DAYS[1]].document)
    return found


def test_the_newest_and_latest_are_kept(agent, filled, development, code):
    outcome = agent("prune", "--keep", "3", "--json")

    assert outcome.code == 0, outcome.err
    assert ask.tags(development, code) == [DAYS[1], *DAYS[4:], "latest"]
    assert [step["name"] for step in outcome.result["steps"]] == ["delete"] * 3
    assert ask.digest(development, code, filled[DAYS[0]].digest) is None


def test_five_are_kept_where_nobody_says_how_many(agent, filled, development, code):
    assert agent("prune").code == 0
    assert ask.tags(development, code) == [*DAYS[1:], "latest"]


def test_a_dry_run_deletes_nothing(agent, filled, development, code):
    outcome = agent("prune", "--keep", "1", "--dry-run")
    assert outcome.code == 0
    assert f"delete {development.address}/{code}:{DAYS[0]}" in outcome.out
    assert len(ask.tags(development, code)) == 8


def test_production_is_pruned_only_when_it_is_named(agent, development, production, code):
    for day in DAYS[:3]:
        images.put_image(production, code, day)
    assert agent("prune", "--keep", "1").code == 0
    assert ask.tags(production, code) == DAYS[:3]
    assert agent("prune", "--prod", "--keep", "1").code == 0
    assert ask.tags(production, code) == [DAYS[2]]


def test_what_a_server_keeps_is_not_deleted(agent, filled, development, code, monkeypatch):
    asked = []

    def versions_in_use(run):
        asked.extend(target.name for target in run.settings.targets())
        return {DAYS[0]}

    monkeypatch.setattr(history, "versions_in_use", versions_in_use)
    (agent.folder / "container-pipeline.yml").write_text(
        "servers: [web-1.example]\nenvironments: {test: {servers: [web-2.example, web-1.example]}}\n"
    )
    assert agent("prune", "--keep", "1").code == 0
    assert asked == ["web-1.example", "web-2.example"]
    assert ask.tags(development, code) == [DAYS[0], DAYS[1], DAYS[6], "latest"]


def test_a_server_that_does_not_answer_keeps_everything(agent, filled, development, code, monkeypatch):
    def versions_in_use(run):
        raise ServerError("web-1.example cannot be reached")

    monkeypatch.setattr(history, "versions_in_use", versions_in_use)
    assert agent("prune", "--keep", "1", "--server", "web-1.example").code == 1
    assert len(ask.tags(development, code)) == 8


def test_prune_explains_how_to_enable_registry_deletion(agent, registry_factory, code):
    one = registry_factory(delete=False)
    agent.use("DOCKER_REGISTRY", one)
    for day in DAYS[:2]:
        images.put_image(one, code, day)
    outcome = agent("prune", "--keep", "1")
    assert outcome.code == 1
    assert "REGISTRY_STORAGE_DELETE_ENABLED=true" in outcome.err


def test_the_platforms_of_a_kept_index_stay(agent, development, code):
    _old, gone = images.put_index(development, code, DAYS[0])
    _new, kept = images.put_index(development, code, DAYS[1])
    assert agent("prune", "--keep", "1").code == 0
    assert ask.tags(development, code) == [DAYS[1]]
    assert all(ask.digest(development, code, child.digest) for child in kept)
    assert not any(ask.digest(development, code, child.digest) for child in gone)


def test_prune_finds_nothing_in_a_missing_repository(agent):
    outcome = agent("prune")
    assert outcome.code == 0
    assert "holds no version to remove" in outcome.err


def test_prune_keeps_deployed_versions_and_requires_reachable_servers(site, registry_factory):
    site.use(registry_factory())
    unused = [site.publish("plain") for _number in range(2)]
    outcome = site("prune", "--keep", "1")
    assert outcome.code == 0, outcome.err
    assert ask.tags(site.registry, site.code) == unused[1:]

    running = site.deployed()
    newer = [site.publish("plain") for _number in range(3)]
    versions = [*unused[1:], running, *newer]
    assert site("prune", "--keep", "1", "--server", "nobody.invalid").code == 1
    assert ask.tags(site.registry, site.code) == versions

    # Nothing is deleted for a user who may use Docker only with sudo, or may not read a part of the folder.
    servers = site.servers[0].name
    site.set("CONTAINER_PIPELINE_SERVERS", f"deploy@{servers}")
    outcome = site("prune", "--keep", "1")
    assert (outcome.code, "Docker cannot be used" in outcome.err) == (1, True)
    assert ask.tags(site.registry, site.code) == versions
    site.set("CONTAINER_PIPELINE_SUDO", "true")
    for closed in ("releases", ".env", "."):
        mode = site.sh(f"stat -c %a {closed}; chmod 0700 {closed}").strip()
        outcome = site("prune", "--keep", "1")
        assert (outcome.code, "this user cannot read" in outcome.err) == (1, True), closed
        assert ask.tags(site.registry, site.code) == versions, closed
        site.sh(f"chmod {mode} {closed}")
    site.unset("CONTAINER_PIPELINE_SUDO")
    site.set("CONTAINER_PIPELINE_SERVERS", servers)

    outcome = site("prune", "--keep", "1")
    assert outcome.code == 0, outcome.err
    assert ask.tags(site.registry, site.code) == [running, newer[-1]]


def test_prune_keeps_versions_an_operator_started_or_configured(either, registry_factory):
    either.use(registry_factory())
    versions = [either.publish("plain") for _number in range(3)]
    assert either("deploy", "--version", versions[2]).code == 0
    command = "docker compose" if either.servers[0].compose == "v2" else "docker-compose"
    image = f"{either.registry.address}/{either.code}"
    either.sh(
        f"docker tag {image}:{versions[2]} {image}:{versions[0]}"
        f" && sed -i s/^VERSION=.*/VERSION={versions[0]}/ .env && {command} up -d"
    )
    # Written for the next time, not started yet.
    either.sh(f"sed -i s/^VERSION=.*/VERSION={versions[1]}/ .env")
    outcome = either("prune", "--keep", "1")
    assert outcome.code == 0, outcome.err
    assert ask.tags(either.registry, either.code) == versions


def test_prune_keeps_releases_of_every_environment_on_server(site, registry_factory):
    site.use(registry_factory())
    server = site.servers[0]
    site.set("CONTAINER_PIPELINE_SERVERS", "")
    roots = {"test": "/docker/compose", "prod": f"/docker/of-{site.code}"}
    entries = [f"{name}: {{servers: [{{host: {server.name}, remote_root: {root}}}]}}" for name, root in roots.items()]
    site.write("container-pipeline.yml", f"environments: {{{', '.join(entries)}}}\n")
    try:
        kept = site.deployed("plain", "--environment", "test")
        newest = [site.publish("plain") for _number in range(2)][-1]

        outcome = site("prune", "--keep", "1", "--environment", "prod")

        assert outcome.code == 0, outcome.err
        assert ask.tags(site.registry, site.code) == [kept, newest]
    finally:
        server.run(f"rm -rf {roots['prod']}")


def test_prune_skips_tags_another_run_changes_meanwhile(agent, filled, development, code, fault_proxy, monkeypatch):
    """Between the plan and the deletion latest moves to an old version, another one is pushed anew, and a third is deleted."""
    proxy = fault_proxy(development.address, Fault("GET", f"/manifests/{DAYS[3]}", status=404))
    agent.use("DOCKER_REGISTRY", development, proxy.address)
    begin = prune_plan.plan

    def plan(*given):
        steps = begin(*given)
        images.put_manifest(development, code, "latest", filled[DAYS[2]].document)
        images.put_manifest(development, code, DAYS[4], filled[DAYS[6]].document)
        ask.registry(development, "DELETE", f"/v2/{code}/manifests/{filled[DAYS[0]].digest}")
        return steps

    monkeypatch.setattr(prune, "plan", plan)
    outcome = agent("prune", "--keep", "1")
    assert outcome.code == 0, outcome.err
    assert ask.digest(development, code, "latest") == filled[DAYS[2]].digest
    assert ask.tags(development, code) == [*DAYS[1:5], DAYS[6], "latest"]
    assert f"kept {proxy.address}/{code}:{DAYS[2]}: a tag has just been moved" in outcome.err
