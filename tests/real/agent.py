"""Runs the agent for tests of registries: in this process, with short waits between retries."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from container_pipeline.__main__ import main
from lab.registry import Registry


@dataclass(frozen=True)
class Outcome:
    """Exit code, stdout, stderr, and the JSON result with --json."""

    code: int
    out: str
    err: str

    @property
    def result(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.out)
        return answer


class Agent:
    """Runs commands in one project folder, with two registries; ``address`` may be that of a proxy in front of one."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path, code: str
    ) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self.folder = folder
        self.code = code
        monkeypatch.setenv("LC_ALL", "C")
        monkeypatch.setattr("container_pipeline.clients.registry.transport.FIRST_WAIT", 0.01)

    def use(self, prefix: str, one: Registry, address: str = "") -> None:
        """Set the three variables of DOCKER_REGISTRY or DOCKER_REGISTRY_PROD."""
        self._monkeypatch.setenv(prefix, address or one.address)
        self._monkeypatch.setenv(f"{prefix}_USER", one.user)
        self._monkeypatch.setenv(f"{prefix}_PASS", one.password)

    def __call__(self, *arguments: str) -> Outcome:
        self._capsys.readouterr()
        code = main([*arguments, "--project", str(self.folder), "--code", self.code])
        out, err = self._capsys.readouterr()
        return Outcome(code, out, err)
