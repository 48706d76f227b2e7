"""The one list of settings' keys: the project file, the ``CONTAINER_PIPELINE_…`` variables, the Groovy map of the Jenkins
steps and the documentation follow it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from container_pipeline.i18n import _

PROJECT_FILE = "container-pipeline.yml"
PREFIX = "CONTAINER_PIPELINE_"


@dataclass(frozen=True)
class Key:
    """One key of the settings. ``kind``: text, text or boolean, integer, boolean, list, map, servers or environments."""

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
        """The variable of a site's default, which the project's file overrides."""
        return PREFIX + "DEFAULT_" + self.name.upper()

    @property
    def camel(self) -> str:
        """The key's name in a Jenkinsfile."""
        head, *tail = self.name.split("_")
        return head + "".join(word.capitalize() for word in tail)


KEYS: tuple[Key, ...] = (
    Key("code", "text", "", "project code: image, Compose service, container and host name"),
    Key("namespace", "text", "", "namespace before the image name"),
    Key("servers", "servers", (), "[user@]host[:port], or {host, user, port, remote_root, name}", True),
    Key("context", "text", ".", "build context, from the project's root"),
    Key("dockerfile", "text", "Dockerfile", "Dockerfile, from the context"),
    Key("build_args", "map", {}, "build arguments: NAME: value"),
    Key("labels", "map", {}, "labels of the image, beside those of the OCI annotations"),
    Key("cache", "boolean", False, "use the layer cache; the convention builds without"),
    Key("builder", "text", "auto", "BuildKit where engine and client have it", choices=("auto", "buildkit", "engine")),
    Key("platforms", "list", (), "platforms to build for, such as linux/amd64; needs BuildKit"),
    Key("secrets", "map", {}, "BuildKit secrets: id: file"),
    Key("compose_file", "text", "docker-compose.yml", "Compose file, from the project's root", True),
    Key("env_file", "text", ".env", "environment of the service, from the project's root", True),
    Key("files", "list", (), "files and folders that the Compose file mounts, uploaded beside it", True),
    Key("remote_root", "text", "/docker/compose", "folder on the servers that holds CODE/"),
    Key("timeout", "integer", 60, "seconds that a deploy waits for health", True),
    Key("settle", "integer", 8, "seconds that a service without HEALTHCHECK must run to count as well", True),
    Key("keep", "integer", 5, "releases kept on a server, versions kept by prune", True),
    Key("at_once", "integer", 10, "servers at a time", True),
    Key("mode", "text", "compose", "by Compose, or as a Swarm stack", True, ("compose", "swarm")),
    Key(
        "strategy",
        "text",
        "recreate",
        "old container stopped first, or new one started first",
        True,
        ("recreate", "start-first"),
    ),
    Key("run", "map", {}, "options of `run`: ports, volumes, environment, env_file, name, detach"),
    Key("sudo", "boolean", False, "use Docker on the servers by sudo -n"),
    Key("insecure", "list", (), "registries spoken to by plain http, beside those on loopback"),
    Key(
        "registry",
        "text",
        "",
        "where servers pull from; production where one is set",
        True,
        ("production", "development"),
    ),
    Key("approve", "text or boolean", "", "Jenkins asks before production: true, or the question", True),
    Key("environments", "environments", {}, "environments by name, each with its own servers, env_file, …"),
)
BY_NAME = {key.name: key for key in KEYS}


def nearest(name: str, known: Sequence[str]) -> str:
    """Return the sentence that names the nearest known name, or lists them all."""
    import difflib

    found = difflib.get_close_matches(name, known, 1, 0.5)
    return _("did you mean {name}?", name=found[0]) if found else _("known are: {names}", names=", ".join(known))
