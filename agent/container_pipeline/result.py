"""The result of a command with ``--json``: one versioned object, which only grows within a schema."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypedDict

from container_pipeline.errors import PipelineError
from container_pipeline.model import ImageRef

SCHEMA = 2


@dataclass
class StepResult:
    """One step: ``status`` is "ok", "failed", "skipped" or "planned"; ``seconds`` is wall time."""

    name: str
    status: str
    seconds: float = 0.0


@dataclass
class ServerResult:
    """The result on one server: ``status`` is one word; ``error`` and ``hint`` are one sentence each, or empty."""

    name: str
    status: str
    version: str = ""
    error: str = ""
    hint: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        told = {"name": self.name, "status": self.status, "version": self.version}
        return {**told, "error": self.error, "hint": self.hint, **self.details}


class Payload(TypedDict):
    """Result keys of one command, besides those of all commands; each key of a subclass is a key of the result."""


class Published(Payload):
    """push, promote and commands that contain them: names under which registries now hold the image."""

    published: list[str]


class Told(Payload):
    """deploy, rollback, hold, resume: what a message to a chat also says, as far as it is set.

    ``commits`` are those since the release that ran before: revision, author and subject of each, newest first.
    """

    environment: str
    commits: list[dict[str, str]]


class Reason(Payload):
    """hold: why."""

    reason: str


class Approved(Payload):
    """promote, deploy: who answered the question of the pipeline."""

    approved_by: str


class Override(Payload):
    """deploy, up: why they went on in spite of a hold or a freeze."""

    override: str


class ImageBuilt(Payload):
    """build: the commit, or "", and the image's size in bytes."""

    revision: str
    size: int


class Copied(Payload):
    """promote --dry-run: bytes that would be copied."""

    bytes: int


class CarriedAlong(Payload):
    """promote: what refers to the image and was copied with it: ``kind``, ``digest``, ``subject``, and cosign's ``tag`` or ""."""

    carried: list[dict[str, str]]


class Images(Payload):
    """images: a row for each version."""

    images: list[dict[str, Any]]


class Origins(Payload):
    """status: key → source of its value, for every key that does not have the product's default."""

    settings: dict[str, str]


class Choices(Payload):
    """history: ``version``, ``when`` and ``by`` of the releases that a rollback on all servers can choose, newest first."""

    choices: list[dict[str, str]]


class Deployments(Payload):
    """fleet: every code on every server, those with problems first; the keys are those of ``plan.fleet.Deployment``."""

    deployments: list[dict[str, Any]]


class Kept(Payload):
    """init, adopt: files that differ from the generated ones and were not replaced."""

    kept: list[str]


class Adoption(Payload):
    """adopt: a note for each place of docker.sh that deviates from the convention."""

    adopted: list[dict[str, Any]]


class Calls(Payload):
    """adopt: places that still call docker.sh, as FILE:LINE."""

    calls: list[str]


class Differences(Payload):
    """adopt --verify: differences between the images that docker.sh and this product build."""

    differences: list[str]


class Findings(Payload):
    """lint: its findings."""

    findings: list[dict[str, Any]]


class Checks(Payload):
    """doctor: its checks."""

    checks: list[dict[str, Any]]


class Jobs(Payload):
    """seed: the outcome of each job that differed, and the number of unchanged jobs."""

    jobs: list[dict[str, str]]
    unchanged: int


class Stages(Payload):
    """stages: stages of a run of the Jenkins library, and a sentence for each skipped one."""

    stages: list[dict[str, Any]]
    absent: list[str]
    #: Whether the stages after a question can run on another node.
    carries: bool


class Files(Payload):
    """report: the files that it wrote."""

    files: list[str]


@dataclass
class Result:
    """The result of a command; it grows while the command runs."""

    command: str
    code: str = ""
    version: str = ""
    digest: str = ""
    steps: list[StepResult] = field(default_factory=list)
    servers: list[ServerResult] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)
    error: PipelineError | None = None

    @contextmanager
    def step(self, name: str) -> Iterator[StepResult]:
        """Time one step and record its status."""
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

    def add(self, payload: Payload) -> None:
        """Add keys to the result. Existing lists are extended, other values are replaced."""
        for name, value in payload.items():
            there = self.answers.get(name)
            self.answers[name] = [*there, *value] if isinstance(there, list) and isinstance(value, list) else value

    def went_to(self, image: ImageRef) -> None:
        """Record a name under which a registry now holds the image."""
        self.add(Published(published=[str(image)]))

    def as_dict(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints."""
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
            **self.answers,
        }


def _told(error: PipelineError) -> dict[str, Any]:
    told = {"category": error.category, "message": error.message, "hint": error.hint}
    return {**told, "details": list(error.details)}
