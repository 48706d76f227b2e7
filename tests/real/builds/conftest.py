"""Fixtures for tests of builds."""

from __future__ import annotations

import secrets
from pathlib import Path

import docker
import pytest

from real.agent import Agent
from real.builds.helpers import write


@pytest.fixture
def code() -> str:
    return f"test-{secrets.token_hex(5)}-re"


@pytest.fixture
def agent(agent: Agent, engine: docker.APIClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Agent:
    """The agent in a project whose image contains its whole context below /c."""
    write(agent, Dockerfile="FROM busybox:latest\nCOPY . /c\n")
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return agent


@pytest.fixture(params=["engine", "buildkit"])
def builder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same with both builders."""
    monkeypatch.setenv("CONTAINER_PIPELINE_BUILDER", request.param)
    return str(request.param)
