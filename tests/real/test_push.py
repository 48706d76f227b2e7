"""Pushes to real registries: results, refusals, and no login left behind."""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path
from typing import Any

import docker
import pytest

from container_pipeline.clients.engine import Engine
from lab import ask, images
from lab.faultproxy import Fault
from lab.place import free_port
from lab.watcher import ArgvWatcher
from real.agent import Agent


@pytest.fixture
def code() -> str:
    return f"test-{secrets.token_hex(5)}-re"


@pytest.fixture
def agent(agent: Agent, engine: docker.APIClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Agent:
    """The agent in a project that has been built."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CONTAINER_PIPELINE_BUILDER", "engine")
    (agent.folder / "Dockerfile").write_text("FROM busybox:latest\nCOPY Dockerfile /\n")
    assert agent("build").code == 0
    return agent


def version(agent: Agent) -> str:
    return (agent.folder / ".docker_build_version").read_text().strip()


def record(agent: Agent) -> dict[str, str]:
    read: dict[str, str] = json.loads((agent.folder / ".docker_build.json").read_text())
    return read


def test_push_records_the_digest_and_pushes_once(agent, development, code, engine, fault_proxy):
    outcome = agent("push", "--json")
    assert outcome.code == 0, outcome.err
    digest = ask.digest(development, code, version(agent))
    assert digest
    assert outcome.result["digest"] == record(agent)["digest"] == digest
    assert agent("push", "--latest").code == 0
    assert ask.digest(development, code, "latest") == digest

    # An engine forgets digests when an image is removed and loaded again; the image's own id tells.
    name = f"{development.address}/{code}:{version(agent)}"
    saved = b"".join(engine.get_image(name))
    engine.remove_image(name)
    engine.remove_image(f"{development.address}/{code}:latest")
    engine.load_image(saved)
    assert engine.inspect_image(name)["RepoDigests"] == []
    outcome = agent("push")
    assert outcome.code == 0, outcome.err
    assert "is already in the registry" in outcome.err


def test_no_push_writes_latest_where_it_is_off(agent, development, production, code, monkeypatch):
    monkeypatch.setenv("CONTAINER_PIPELINE_LATEST", "false")
    assert agent("push", "--latest").code == 0
    assert agent("pipeline-all").code == 0
    assert ask.tags(development, code) == ask.tags(production, code) == [version(agent)]
    assert agent("push-latest").code == 1


def test_a_version_that_is_named_is_pushed(agent, development, code):
    first = version(agent)
    assert agent("build").code == 0
    before = record(agent)
    outcome = agent("push", "--latest", "--version", first, "--json")
    assert outcome.code == 0, outcome.err
    assert ask.tags(development, code) == [first, "latest"]
    assert (outcome.result["version"], outcome.result["digest"]) == (first, ask.digest(development, code, first))
    assert ask.digest(development, code, "latest") == outcome.result["digest"]
    assert record(agent) == before
    outcome = agent("push", "--version", "20200101000000")
    assert (outcome.code, f"{code}:20200101000000 is not in the engine" in outcome.err) == (1, True), outcome.err


def test_a_registry_value_may_have_a_path(agent, development, code, monkeypatch):
    monkeypatch.setenv("DOCKER_REGISTRY", f"{development.address}/team/a")
    assert agent("pipeline-rebuild").code == 0
    assert ask.tags(development, f"team/a/{code}") == sorted([version(agent), "latest"])


def test_push_never_replaces_a_version_in_the_registry(agent, development, code):
    other = images.put_image(development, code, version(agent))
    outcome = agent("push")
    assert outcome.code == 1
    assert "a version never changes" in outcome.err
    assert ask.digest(development, code, version(agent)) == other.digest


def test_push_names_what_is_wrong_with_the_registry(agent, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("DOCKER_REGISTRY_PASS", "wrong password")
        outcome = agent("push")
    assert outcome.code == 1
    assert "DOCKER_REGISTRY_PASS" in outcome.err
    assert "wrong password" not in outcome.err
    nobody = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("DOCKER_REGISTRY", nobody)
    outcome = agent("push")
    assert outcome.code == 1
    assert nobody in outcome.err.splitlines()[-1]
    assert "Traceback" not in outcome.err


def test_push_rejected_by_the_registry_is_an_error(agent, development, code, fault_proxy):
    proxy = fault_proxy(development.address)
    agent.use("DOCKER_REGISTRY", development, proxy.address)
    assert agent("build").code == 0
    for fault in (
        Fault("POST", "/blobs/uploads", status=403),
        Fault("PUT", "/manifests/", status=500),
        Fault("PUT", "/manifests/", status=413),
        # The engine gets a success, but the registry does not have the manifest.
        Fault("PUT", "/manifests/", status=201),
    ):
        proxy.faults[:] = [fault]
        proxy.requests.clear()
        outcome = agent("push", "--latest")
        assert outcome.code == 1, fault
        assert fault.seen, fault
        refused = f"{proxy.address}/{code}:{version(agent)} could not be pushed" in outcome.err
        assert refused or (fault.status == 201 and "did not arrive" in outcome.err), outcome.err
        assert ask.tags(development, code) == [], fault
        assert record(agent)["digest"] == "", fault
        # It looks at `latest` in the background, while the image is pushed.
        end = time.monotonic() + 30
        while not proxy.count("GET", "/manifests/latest$") + proxy.count("HEAD", "/manifests/latest$"):
            assert time.monotonic() < end
            time.sleep(0.01)
        assert proxy.count("PUT", "/manifests/latest") == 0


def test_pipeline_keeps_passwords_from_arguments_logs_and_files(agent, development, production, tmp_path):
    words = [development.password, production.password]
    with ArgvWatcher(words) as watcher:
        outcome = agent("pipeline-all-rebuild", "-v")
    assert outcome.code == 0, outcome.err
    assert watcher.seen == []
    assert not any(word in outcome.err + outcome.out for word in words)
    for path in [*agent.folder.rglob("*"), *(tmp_path / "home").rglob("*")]:
        assert not path.is_file() or not any(word in path.read_text(errors="replace") for word in words)
    assert not (tmp_path / "home" / ".docker" / "config.json").exists()


def test_pipeline_publishes_old_image_and_warns_sources_changed(agent, development, code):
    assert "sources have changed" not in agent("pipeline").err
    (agent.folder / "new.py").write_text("")
    former = version(agent)
    outcome = agent("pipeline")
    assert outcome.code == 0
    assert "the sources have changed since" in outcome.err
    assert "container-pipeline pipeline-rebuild" in outcome.err
    assert ask.tags(development, code) == sorted([former, "latest"])


def test_production_gets_the_bytes_that_development_holds(agent, development, production, code):
    assert agent("pipeline-all").code == 0
    digest = ask.digest(development, code, version(agent))
    assert ask.digest(production, code, version(agent)) == ask.digest(production, code, "latest") == digest


def test_production_gets_engine_image_without_the_development_registry(agent, registry_factory, production, code):
    development = registry_factory()
    agent.use("DOCKER_REGISTRY", development)
    assert agent("build").code == agent("push").code == 0
    development.stop()
    outcome = agent("pipeline-prod")
    assert outcome.code == 0, outcome.err
    assert ask.tags(production, code) == sorted([version(agent), "latest"])


def test_json_result_lists_each_pipeline_step(agent):
    result = agent("pipeline-all", "--json").result
    assert [step["name"] for step in result["steps"]] == [
        "push",
        "tag",
        "move-tag",
        "tag",
        "promote",
        "tag",
        "move-tag",
    ]
    assert {step["status"] for step in result["steps"]} == {"ok"}


def test_latest_gets_built_image_even_if_tag_moves(agent, development, production, code, monkeypatch):
    tag = Engine.tag

    def disturbed(*arguments: Any) -> None:
        """Push another image over the version, after its push and before latest's."""
        images.put_image(development, code, version(agent))
        tag(*arguments)

    monkeypatch.setattr(Engine, "tag", disturbed)
    outcome = agent("pipeline-all", "--json")
    assert outcome.code == 0, outcome.err
    built = outcome.result["digest"]
    assert ask.digest(development, code, version(agent)) != built
    assert ask.digest(development, code, "latest") == built
    assert ask.digest(production, code, version(agent)) == ask.digest(production, code, "latest") == built


def test_only_docker_sh_latest_commands_move_latest_backwards(agent, development, production, code, monkeypatch):
    """As where an older build is published last: its state is brought back here."""

    def latest() -> tuple[str | None, str | None]:
        return ask.digest(development, code, "latest"), ask.digest(production, code, "latest")

    older = {path: path.read_text() for path in agent.folder.glob(".docker_build*")}
    assert agent("push").code == 0
    # The second build is a minute younger.
    monkeypatch.setattr("time.time", lambda genuine=time.time: genuine() + 60)
    assert agent("pipeline-all-rebuild").code == 0
    newest = latest()
    assert newest[0] == newest[1] == record(agent)["digest"]
    for path, text in older.items():
        path.write_text(text)
    for words in (["push", "--latest"], ["pipeline"], ["pipeline-all"], ["promote"]):
        done = agent(*words)
        assert done.code == 0, done.err
        assert "stays: it names an image that was built later" in done.err, words
        assert latest() == newest, words
    mine = ask.digest(development, code, version(agent))
    assert (agent("push-latest").code, latest()) == (0, (mine, newest[1]))
    assert (agent("push-prod-latest").code, latest()) == (0, (mine, mine))
