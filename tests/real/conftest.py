"""What several tests of registries start from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lab.registry import Registry
from real.agent import Agent


@pytest.fixture
def development(registry_factory: Callable[..., Registry]) -> Registry:
    """A development registry of the test's own, with a login."""
    return registry_factory()


@pytest.fixture
def production(registry_factory: Callable[..., Registry]) -> Registry:
    """A production registry of the test's own, with a login."""
    return registry_factory()


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
