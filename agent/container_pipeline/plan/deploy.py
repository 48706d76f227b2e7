"""The steps of a deploy: what servers get, and in which order."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from container_pipeline.i18n import _
from container_pipeline.model import Code, Digest, ImageRef, RegistryAccess, Secret, Target, Version, local_time
from container_pipeline.outside import read_json
from container_pipeline.plan.steps import Step


@dataclass(frozen=True)
class Release:
    """One version for servers: the image by digest, and what it needs besides."""

    code: Code
    version: Version
    digest: Digest
    image: ImageRef
    services: tuple[str, ...]
    units: tuple[str, ...]
    when: str
    by: str
    build: str = ""
    approved_by: str = ""
    environment: str = ""
    commit: str = ""
    #: Build time of the image, in UTC; "" if only the image itself knows it.
    created: str = ""
    #: Paths of the project that its services mount, in Swarm mode.
    mounts: tuple[str, ...] = ()
    #: Networks, volumes, configs and secrets of somebody else that its services use in a Swarm, by kind.
    external: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def record(self) -> bytes:
        """Return release.json, on one line, because a shell on the server reads it too."""
        fields = {
            "schema": 1,
            "version": str(self.version),
            "digest": str(self.digest),
            "image": self.image.name,
            "when": self.when,
            "by": self.by,
            "build": self.build,
            "commit": self.commit,
        }
        if self.approved_by:
            fields["approved_by"] = self.approved_by
        if self.environment:
            fields["environment"] = self.environment
        if self.created:
            fields["created"] = self.created
        # The server adds what Compose resolves.
        if self.services:
            fields["services"] = " ".join(self.services)
        if self.mounts:
            fields["mounts"] = " ".join(self.mounts)
        fields.update({kind: " ".join(names) for kind, names in self.external.items() if names})
        return (json.dumps(fields, ensure_ascii=True) + "\n").encode()


def read_record(text: str) -> dict[str, Any]:
    """Return what release.json says; empty if it cannot be read, because somebody edited it or the disk was full."""
    try:
        found = read_json(text, dict)
    except ValueError:
        return {}
    read = {name: value for name, value in found.items() if name == "schema" or isinstance(value, str)}
    if "companions" in read:
        read["companions"] = [_companion(one) for one in read["companions"].split()]
    return read


def _companion(text: str) -> dict[str, str]:
    """Return service, image and pin from SERVICE=IMAGE=PIN; the pin is NAME@DIGEST, or an image id."""
    return dict(zip(("service", "image", "pin"), [*text.split("=", 2), "", ""]))


@dataclass(frozen=True)
class OnServers(Step):
    """A step on ``servers``, on all in parallel."""

    servers: tuple[Target, ...]


@dataclass(frozen=True)
class Deploy(OnServers):
    """Deploy a release to the servers."""

    name: ClassVar[str] = "deploy"
    release: Release
    #: The release command, which one of all servers runs before any switches.
    command: tuple[str, ...] = ()

    def describe(self) -> str:
        what = _(
            "deploy {code} {version} ({digest}) to {servers}",
            code=self.release.code,
            version=self.release.version,
            digest=self.release.digest.short,
            servers=", ".join(server.name for server in self.servers),
        )
        if not self.command:
            return what
        shown = (
            self.command[2] if self.command[:2] == ("sh", "-c") and len(self.command) == 3 else shlex.join(self.command)
        )
        return _("{what}, after the release command has run once: {command}", what=what, command=shown)


@dataclass(frozen=True)
class Rollback(OnServers):
    """Roll back to an earlier release; version "" is the previous one."""

    name: ClassVar[str] = "rollback"
    code: Code
    version: str

    def describe(self) -> str:
        servers = ", ".join(server.name for server in self.servers)
        if self.version:
            return _(
                "roll {code} back to {version} on {servers}", code=self.code, version=self.version, servers=servers
            )
        return _("roll {code} back to the previous release on {servers}", code=self.code, servers=servers)


def groups(servers: Sequence[Target], rolling: int) -> list[tuple[Target, ...]]:
    """Return the servers in groups of ``rolling``, or in one group for 0."""
    size = rolling or len(servers)
    return [tuple(servers[start : start + size]) for start in range(0, len(servers), size)]


def server_env(values: Mapping[str, str], release_image: ImageRef) -> dict[str, str]:
    """Return the server's .env: the project's variables, and those that make `docker-compose up -d` there start this version."""
    return {**values, "VERSION": release_image.tag, "DOCKER_REGISTRY": str(release_image.registry)}


def login(access: RegistryAccess) -> Secret:
    """Return Docker's config.json for one registry, or an empty one without a password."""
    if not (access.user and access.password):
        return Secret("")
    auth = base64.b64encode(f"{access.user}:{access.password.reveal()}".encode()).decode()
    return Secret(json.dumps({"auths": {access.registry.login_key: {"auth": auth}}}))


@dataclass(frozen=True)
class Compose(OnServers):
    """Run Compose's ``action`` (up, down, restart or pull) in the project's folder."""

    name: ClassVar[str] = "compose"
    code: Code
    action: str

    def describe(self) -> str:
        return _(
            "{action} {code} on {servers}",
            action=self.action,
            code=self.code,
            servers=", ".join(server.name for server in self.servers),
        )


@dataclass(frozen=True)
class Hold(OnServers):
    """Hold the code on the servers for ``reason``, so that nothing is deployed; resume without one."""

    name: ClassVar[str] = "hold"
    code: Code
    reason: str

    def describe(self) -> str:
        servers = ", ".join(server.name for server in self.servers)
        if self.reason:
            return _("hold {code} on {servers}: {reason}", code=self.code, servers=servers, reason=self.reason)
        return _("resume {code} on {servers}", code=self.code, servers=servers)


@dataclass(frozen=True)
class Holding:
    """A hold, as its file on a server says: who, since when, why."""

    by: str
    since: str
    reason: str

    @classmethod
    def parse(cls, text: str) -> Holding | None:
        """Return the hold in a line of its file; None for an empty one."""
        return cls(*[*text.split("|", 2), "", ""][:3]) if text else None

    def told(self) -> str:
        return _(
            "held by {who} since {since}: {reason}",
            who=self.by or "?",
            since=local_time(self.since) or "?",
            reason=self.reason or "-",
        )


def service_state(word: str, service: str, value: str = "") -> str:
    """Return the sentence for a service's state, "" for a word that names none; ``value`` "-" is an exit code that nobody knows."""
    if (word, value) == ("restarting", "-"):
        return _("{service} keeps restarting", service=service)
    return {
        "unhealthy": _("{service} is unhealthy", service=service),
        "exited": _("{service} exited (exit code {value})", service=service, value=value),
        "restarting": _("{service} keeps restarting (exit code {value})", service=service, value=value),
        "missing": _("{service} has no container", service=service),
        "replicas": _("{service} has {value} tasks running", service=service, value=value),
        "paused": _("Swarm stopped the update of {service}", service=service),
    }.get(word, "")


def difference(word: str) -> str:
    """Return the sentence for a difference between a release and what is on its server."""
    return {
        "record": _("the release's record cannot be read"),
        "image": _("another image runs"),
        "down": _("no container"),
        "found": _("it was not deployed with container-pipeline; the first deploy keeps it as a release"),
        "unfinished": _("a deploy was interrupted; the next one repairs it"),
        "broken": _("a deploy and its rollback failed: manual repair is needed"),
    }.get(word, _("{file} was edited", file=word))


def holder(lock: str) -> str:
    """Return a sentence about a lock from its content: who holds it, since when, for which version."""
    by, since, version = [*lock.split("|"), "", ""][:3]
    return _(
        "{who} has held it since {since}, for version {version}",
        who=by or "?",
        since=local_time(since) or "?",
        version=version or "-",
    )


def port_is_taken(why: str) -> bool:
    """Return whether a failure says that a published port is in use."""
    return "port is already allocated" in why or "address already in use" in why


def port_holder(target: Target) -> str:
    """Return the command that shows what holds a port there: a container or another program."""
    # An engine that was killed while it started a container keeps the port until it is restarted.
    return _(
        "find what holds the port with `{command}` (if nothing does, restart Docker there)",
        command=f"{target.ssh} 'docker ps; ss -ltnp'",
    )


def mending(target: Target, version: str, why: str = "") -> str:
    """Return the commands to paste after a rollback that failed for the reason ``why``."""
    look = _("log in with `{command}`", command=target.ssh)
    if "no space left" in why.lower():
        look = _("free some space there with `{command}`", command=f"{target.ssh} 'df -h; docker system df'")
    elif port_is_taken(why):
        look = port_holder(target)
    back = f"container-pipeline rollback --server {target.name}" + (f" --version {version}" if version else "")
    return _("{look}, then start the previous release with `{command}`", look=look, command=back)
