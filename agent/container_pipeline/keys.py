"""The list of all settings keys. The project file, the ``CONTAINER_PIPELINE_…`` variables, the Jenkins steps and the
documentation are derived from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from container_pipeline.i18n import _
from container_pipeline.model import Program

PROJECT_FILE = "container-pipeline.yml"
PREFIX = "CONTAINER_PIPELINE_"
#: Cosign's own variable for the password of a private key; cosign alone gets it.
SIGN_PASSWORD = "COSIGN_PASSWORD"  # noqa: S105 - a name


def camel(name: str) -> str:
    """Return a name in the form that a Jenkinsfile uses: ``known_hosts`` becomes ``knownHosts``."""
    head, *tail = name.split("_")
    return head + "".join(word.capitalize() for word in tail)


@dataclass(frozen=True)
class Key:
    """One key of the settings.

    ``kind``: text, approve, integer, boolean, list, map, program, command, check, drain, attest, sign, servers, branches, freeze,
    notify or environments.
    """

    name: str
    kind: str
    default: Any
    help: str
    per_environment: bool = False
    choices: tuple[str, ...] = ()

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()

    @property
    def site_variable(self) -> str:
        """Name of the variable for a site's default, which the project file overrides."""
        return PREFIX + "DEFAULT_" + self.name.upper()

    @property
    def camel(self) -> str:
        """Name of the key in a Jenkinsfile."""
        return camel(self.name)


def _key(kind: str, default: Any, text: str, *, per_environment: bool = False, choices: tuple[str, ...] = ()) -> Any:
    """Declare a key as a field of ``Values``, with the attributes of ``Key`` as its metadata."""
    metadata = {"kind": kind, "help": text, "per_environment": per_environment, "choices": choices, "default": default}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Values:
    """The value of each key. Each field here is a key everywhere."""

    code: str = _key("text", "", "project code: image, Compose service, container and host name")
    namespace: str = _key("text", "", "namespace before the image name")
    servers: tuple[Any, ...] = _key(
        "servers", (), "[user@]host[:port], or {host, user, port, remote_root, name}", per_environment=True
    )
    context: str = _key("text", ".", "build context, from the project's root")
    dockerfile: str = _key("text", "Dockerfile", "Dockerfile, from the context")
    build_args: Mapping[str, Any] = _key("map", {}, "build arguments: NAME: value")
    labels: Mapping[str, Any] = _key("map", {}, "labels of the image, besides those of the OCI annotations")
    cache: bool = _key(
        "boolean", False, "reuse unchanged layers of earlier builds; without it each build starts from nothing"
    )
    builder: str = _key(
        "text", "auto", "auto uses BuildKit if engine and client have it", choices=("auto", "buildkit", "engine")
    )
    platforms: tuple[str, ...] = _key("list", (), "platforms to build for, such as linux/amd64; needs BuildKit")
    secrets: Mapping[str, Any] = _key("map", {}, "BuildKit secrets: id: file")
    compose_file: str = _key(
        "text", "docker-compose.yml", "Compose file, from the project's root", per_environment=True
    )
    env_file: str = _key(
        "text", ".env", "the service's environment file, from the project's root", per_environment=True
    )
    env_from: Program | None = _key(
        "program",
        None,
        "program that prints the service's environment, such as [sops, decrypt, prod.env]; instead of env_file",
        per_environment=True,
    )
    files: tuple[str, ...] = _key(
        "list", (), "files and folders that the Compose file mounts; uploaded with it", per_environment=True
    )
    remote_root: str = _key("text", "/docker/compose", "folder on the servers that holds CODE/")
    timeout: int = _key("integer", 60, "seconds that a deploy waits until the service is healthy", per_environment=True)
    settle: int = _key(
        "integer",
        8,
        "seconds that a service without HEALTHCHECK must stay up before it counts as healthy",
        per_environment=True,
    )
    keep: int = _key("integer", 5, "releases kept on a server, versions kept by prune", per_environment=True)
    at_once: int = _key("integer", 10, "servers at a time", per_environment=True)
    mode: str = _key(
        "text", "compose", "run with Compose, or as a Swarm stack", per_environment=True, choices=("compose", "swarm")
    )
    strategy: str = _key(
        "text",
        "recreate",
        "stop the old container first, or start the new one first",
        per_environment=True,
        choices=("recreate", "start-first"),
    )
    pull: str = _key(
        "text",
        "missing",
        "pull the images of other services where they are missing, or always",
        per_environment=True,
        choices=("missing", "always"),
    )
    release: Mapping[str, Any] = _key(
        "command",
        {},
        "command, such as a migration, that a deploy runs once in the new image before it touches what runs",
        per_environment=True,
    )
    check: Mapping[str, Any] = _key(
        "check",
        {},
        "path that the new container must respond to over HTTP before a deploy counts as successful",
        per_environment=True,
    )
    drain: Mapping[str, Any] = _key(
        "drain",
        {},
        "with start-first: seconds, or a command on the server, before the old container stops",
        per_environment=True,
    )
    run: Mapping[str, Any] = _key("map", {}, "options of `run`: ports, volumes, environment, env_file, name, detach")
    sudo: bool = _key("boolean", False, "use Docker on the servers with sudo -n")
    insecure: tuple[str, ...] = _key("list", (), "registries that speak plain http, besides those on loopback")
    registry: str = _key(
        "text",
        "",
        "where servers pull from (default: production if set)",
        per_environment=True,
        choices=("production", "development"),
    )
    latest: bool = _key(
        "boolean", True, "move the tag latest with each version; false where the registry's tags are immutable"
    )
    branches: tuple[str, ...] = _key(
        "branches",
        ("main", "master"),
        "branches and tags whose builds publish, such as release/*; by default the primary branch, too",
        per_environment=True,
    )
    verify: tuple[str, ...] = _key(
        "list",
        (),
        "public keys of cosign, from the project's root; an image is promoted and deployed only if one signed it",
    )
    sign: Mapping[str, Any] = _key(
        "sign",
        {},
        "private key of cosign that signs what is pushed: a file, or {key}; COSIGN_PASSWORD has its password",
    )
    attest: str = _key(
        "attest",
        "true",
        "what BuildKit itself attaches: true is its default, false nothing, provenance how it was built, and no SBOM",
    )
    sbom: bool = _key("boolean", False, "attach an SBOM, which syft makes, to what is pushed")
    approve: Any = _key(
        "approve",
        "",
        "ask in Jenkins before production: true, the question, or {question, by, within}",
        per_environment=True,
    )
    freeze: tuple[str, ...] = _key(
        "freeze",
        (),
        "when nothing is deployed, such as `Fri 18:00-Mon 08:00 Asia/Shanghai`; every source adds to the others",
        per_environment=True,
    )
    notify: Mapping[str, Any] = _key(
        "notify", {}, "messages to a chat: {format, mention, on}; in a Jenkinsfile also credentials and secret"
    )
    environments: Mapping[str, Mapping[str, Any]] = _key(
        "environments", {}, "environments by name, each with its own servers, env_file, …"
    )


KEYS: tuple[Key, ...] = tuple(Key(name=one.name, **one.metadata) for one in fields(Values))
BY_NAME = {key.name: key for key in KEYS}


def nearest(name: str, known: Sequence[str]) -> str:
    """Return a hint that suggests the nearest known name, or lists all of them."""
    import difflib

    found = difflib.get_close_matches(name, known, 1, 0.5)
    return _("did you mean {name}?", name=found[0]) if found else _("use one of: {names}", names=", ".join(known))
