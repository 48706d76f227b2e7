"""A project's images in this machine's engine: listed beside those of registries, and pruned."""

from __future__ import annotations

import secrets

import pytest

VERSIONS = [f"2026112{day}080000" for day in range(1, 5)]


@pytest.fixture
def code() -> str:
    return f"test-{secrets.token_hex(5)}-re"


@pytest.fixture
def names(engine, development, production, code) -> list[str]:
    """Versions in the engine, each an image of its own; the newest is tagged for production, too."""
    made = []
    for version in VERSIONS:
        container = engine.create_container("busybox:latest", ["true"])["Id"]
        engine.commit(container, f"{development.address}/{code}", version, message=version)
        engine.remove_container(container)
        made.append(f"{development.address}/{code}:{version}")
    engine.tag(made[-1], f"{production.address}/{code}", VERSIONS[-1])
    return made


def left(engine, names: list[str]) -> list[str]:
    return [name.rpartition(":")[2] for name in names if engine.images(name)]


def test_versions_here_are_listed_and_the_newest_kept(agent, engine, names, development, production, code):
    outcome = agent("images")
    assert outcome.code == 0, outcome.err
    head, *rows = [line.split() for line in outcome.out.splitlines()]
    assert head[5] == "HERE"
    assert [row[0] for row in rows] == VERSIONS[::-1]
    assert all("yes" in row for row in rows)

    # A tag that is no version is somebody else's.
    engine.tag(names[0], f"{development.address}/{code}", "experiment")
    outcome = agent("prune", "--local", "--keep", "2", "--dry-run")
    assert outcome.out.splitlines() == [f"remove {name} from the engine" for name in names[:2]]
    assert left(engine, names) == VERSIONS
    outcome = agent("prune", "--local", "--keep", "2")
    assert outcome.code == 0, outcome.err
    assert left(engine, names) == VERSIONS[2:]
    assert engine.images(f"{production.address}/{code}")
    assert left(engine, [f"{development.address}/{code}:experiment"]) == ["experiment"]


def test_prune_keeps_latest_last_build_and_container_images(agent, engine, names, development, code):
    engine.tag(names[0], f"{development.address}/{code}", "latest")
    container = engine.create_container(names[1])["Id"]
    (agent.folder / ".docker_build_version").write_text(VERSIONS[2] + "\n")
    outcome = agent("prune", "--local", "--keep", "1")
    engine.remove_container(container)
    assert outcome.code == 0, outcome.err
    assert "holds no version to remove" in outcome.err
    assert left(engine, names) == VERSIONS


def test_versions_are_listed_without_an_engine(agent, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    assert agent("images").code == 0
