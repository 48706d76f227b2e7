"""What a command answers with ``--json``: one versioned object, added to but never changed within a schema."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from container_pipeline.errors import PipelineError
from container_pipeline.model import ImageRef

SCHEMA = 1


@dataclass
class StepResult:
    """One step: ``status`` is "ok", "failed", "skipped" or "planned"; ``seconds`` is wall time."""

    name: str
    status: str
    seconds: float = 0.0


@dataclass
class ServerResult:
    """What happened on one server: ``status`` is one word, ``error`` one sentence or empty."""

    name: str
    status: str
    version: str = ""
    error: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "status": self.status, "version": self.version, "error": self.error, **self.details}


@dataclass
class Result:
    """Grows while a command runs, complete when it ends; ``extra`` holds what only some commands answer."""

    command: str
    code: str = ""
    version: str = ""
    digest: str = ""
    steps: list[StepResult] = field(default_factory=list)
    servers: list[ServerResult] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    error: PipelineError | None = None

    @contextmanager
    def step(self, name: str) -> Iterator[StepResult]:
        """Time one step and note how it ended."""
        step = StepResult(name, "ok")
        self.steps.append(step)
        start = time.monotonic()
        try:
            yield step
        except BaseException:
            step.status = "failed"
            raise
        finally:
            step.seconds = round(time.monotonic() - start, 3)

    def went_to(self, image: ImageRef) -> None:
        """Note a name under which a registry now holds the image: ``images`` in the answer."""
        self.extra.setdefault("images", []).append(str(image))

    def as_dict(self) -> dict[str, Any]:
        """Return the object as interface and scripts know it."""
        error = self.error
        return {
            "schema": SCHEMA,
            "command": self.command,
            "ok": error is None,
            "code": self.code,
            "version": self.version,
            "digest": self.digest,
            "steps": [vars(step) for step in self.steps],
            "servers": [server.as_dict() for server in self.servers],
            "error": error and _told(error),
            "exit_code": error.exit_code if error else 0,
            **self.extra,
        }


def _told(error: PipelineError) -> dict[str, Any]:
    told = {"category": error.category, "message": error.message, "hint": error.hint}
    return {**told, "details": list(error.details)}
