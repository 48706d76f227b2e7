"""Settings: option, else environment, else project file, else default; validated and frozen.

The only reader of ``container-pipeline.yml`` and of the variables that are this product's own; what belongs to the
machine (language, terminal, HOME, proxies, CAs, what a child gets) is read where it is used. ``KEYS`` is the one list of keys: the project
file, the ``CONTAINER_PIPELINE_…`` variables, the Groovy map of the Jenkins steps and the documentation follow it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from container_pipeline.errors import SettingsError
from container_pipeline.i18n import _
from container_pipeline.model import (
    REGISTRY_VARIABLES,
    Code,
    ImageRef,
    JenkinsAccess,
    Registry,
    RegistryAccess,
    Repository,
    Secret,
    Target,
)

PROJECT_FILE = "container-pipeline.yml"
PREFIX = "CONTAINER_PIPELINE_"


@dataclass(frozen=True)
class Key:
    """One key of the settings. ``kind``: text, integer, boolean, list, map, servers or environments."""

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
    Key("approve", "text", "", "Jenkins asks before production: true, or the question", True),
    Key("environments", "environments", {}, "environments by name, each with its own servers, env_file, …"),
)
BY_NAME = {key.name: key for key in KEYS}


def nearest(name: str, known: Sequence[str]) -> str:
    """Return the sentence that names the nearest known name, or lists them all."""
    import difflib

    found = difflib.get_close_matches(name, known, 1, 0.5)
    return _("did you mean {name}?", name=found[0]) if found else _("known are: {names}", names=", ".join(known))


@dataclass(frozen=True)
class Settings:
    """Everything a command may know from outside. Build with ``load``; paths are absolute."""

    project: Path
    values: Mapping[str, Any]
    image_name: str = ""
    environment: str = ""
    development: RegistryAccess | None = None
    production: RegistryAccess | None = None
    jenkins: JenkinsAccess | None = None
    ssh_key: Path | None = None
    ssh_config: Path | None = None
    known_hosts: Path | None = None
    build_url: str = ""
    servers: tuple[Target, ...] = ()
    #: Those that the project file, a variable and an option name, whichever of them decides; without the environments'.
    named: tuple[Target, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def code(self) -> Code:
        """The project's code; raises SettingsError where nobody gave one."""
        if not self.values["code"]:
            raise SettingsError(
                _("no project code is given"),
                _("set `code:` in {file}, or say --code CODE", file=PROJECT_FILE),
            )
        return Code(self.values["code"])

    @property
    def repository(self) -> Repository:
        """The image's path in each registry: ``image_name``, where a command was given one, stands in for the code."""
        namespace, name = self.values["namespace"], self.image_name or str(self.code)
        return Repository(f"{namespace}/{name}" if namespace else name)

    def path(self, key: str) -> Path:
        """Return the file or folder that ``key`` names, below the project's root where it is relative."""
        return self.project / str(self.values[key])

    def access(self, role: str, *, login: bool = False) -> RegistryAccess:
        """Return the registry of ``role``; raises SettingsError that names the variable to set.

        With ``login``, user and password must be there too.
        """
        prefix = REGISTRY_VARIABLES[role]
        where = _("set it in /etc/profile, or bind it from Jenkins credentials")
        access = self.production if role == "production" else self.development
        if access is None:
            label = _("the production registry") if role == "production" else _("the registry")
            raise SettingsError(_("{variable} is not set: it names {what}", variable=prefix, what=label), where)
        if login:
            for variable, value in ((f"{prefix}_USER", access.user), (f"{prefix}_PASS", access.password)):
                if not value:
                    raise SettingsError(
                        _(
                            "{variable} is not set: {registry} needs a login",
                            variable=variable,
                            registry=access.registry,
                        ),
                        where,
                    )
        return access

    def controller(self) -> JenkinsAccess:
        """Return the Jenkins controller; raises SettingsError that names the variable to set."""
        if self.jenkins is None:
            raise SettingsError(
                _("JENKINS_URL is not set: it names the Jenkins controller"),
                _("set it, and JENKINS_USER and JENKINS_TOKEN (an API token of that user)"),
            )
        if not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s?#]*)?", self.jenkins.url):
            raise SettingsError(
                _("JENKINS_URL is not an address: write http(s)://host[:port][/prefix]"),
                _("user and token have variables of their own: JENKINS_USER and JENKINS_TOKEN"),
            )
        return self.jenkins

    def pull_from(self) -> RegistryAccess:
        """Return the registry that servers pull from."""
        return self.access("production" if self.pulls_from_production else "development")

    @property
    def pulls_from_production(self) -> bool:
        role = self.values["registry"] or ("production" if self.production else "development")
        return bool(role == "production")

    def image(self, access: RegistryAccess, tag: str) -> ImageRef:
        return ImageRef(access.registry, self.repository, tag)

    def all_targets(self) -> tuple[Target, ...]:
        """Return every server that any source or environment names, each once; there may be none.

        Two with one name but another folder are two.
        """
        entries = [item for values in self.values["environments"].values() for item in values.get("servers", ())]
        return tuple(dict.fromkeys([*self.named, *(_target(item) for item in entries)]))

    def targets(self) -> tuple[Target, ...]:
        """Return the servers; raises SettingsError where there are none."""
        if not self.servers:
            raise SettingsError(
                _("no server is given"),
                _("set `servers:` in {file}, or say --server [USER@]HOST[:PORT]", file=PROJECT_FILE),
            )
        return self.servers


def load(
    project: Path,
    options: Mapping[str, Any],
    environment: str = "",
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Merge and validate all sources. ``options`` holds keys by name; None means not given.

    Raises SettingsError for a value that is not what it must be, naming the source it came from.
    """
    environ = os.environ if environ is None else environ
    environment = environment or environ.get(PREFIX + "ENVIRONMENT", "")
    if not project.is_dir():
        raise SettingsError(
            _("project folder {path} is not there", path=project), _("name an existing one with --project DIR")
        )
    project = project.resolve()
    layers = [
        ("default", {key.name: key.default for key in KEYS}),
        (PROJECT_FILE, _read_project_file(project / PROJECT_FILE)),
        ("environment", _read_environ(environ)),
        ("option", {name: value for name, value in options.items() if value is not None}),
    ]
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    named: list[Target] = []
    for source, layer in layers:
        for name, value in layer.items():
            values[name] = _convert(BY_NAME[name], value, source)
            sources[name] = source
        named += _targets(values["servers"])
    if environment:
        _enter(environment, values, sources)
    insecure = tuple(values["insecure"])
    return Settings(
        project=project,
        values=values,
        environment=environment,
        development=_access("development", environ, insecure),
        production=_access("production", environ, insecure),
        jenkins=_jenkins(environ),
        ssh_key=_optional_path(environ, "SSH_KEY"),
        ssh_config=_optional_path(environ, "SSH_CONFIG"),
        known_hosts=_optional_path(environ, "KNOWN_HOSTS"),
        build_url=environ.get("BUILD_URL", ""),
        servers=_targets(values["servers"]),
        named=tuple(named),
        sources=sources,
    )


def _enter(environment: str, values: dict[str, Any], sources: dict[str, str]) -> None:
    """Lay the named environment's values over those of the file; options and variables still win."""
    known = values["environments"]
    if environment not in known:
        raise SettingsError(
            _("environment {name!r} is not one of this project", name=environment),
            nearest(environment, list(known)) if known else _("set `environments:` in {file}", file=PROJECT_FILE),
        )
    for name, value in known[environment].items():
        if sources[name] in ("default", PROJECT_FILE):
            values[name] = value
            sources[name] = f"environments.{environment}"


def _read_project_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path.name}:{mark.line + 1}" if mark else path.name
        problem = getattr(error, "problem", None) or _("it is not UTF-8")
        raise SettingsError(_("{place} cannot be read: {problem}", place=place, problem=problem)) from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise SettingsError(_("{place} must hold keys and values, such as `code: aglaia-web-re`", place=path.name))
    _known(data, list(BY_NAME), path.name)
    return data


def _known(data: Mapping[Any, Any], known: Sequence[str], where: str) -> None:
    for name in data:
        if name not in known:
            raise SettingsError(_("unknown key {name!r} in {where}", name=name, where=where), nearest(str(name), known))


def _read_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    return {key.name: environ[key.variable] for key in KEYS if environ.get(key.variable)}


def _convert(key: Key, value: Any, source: str) -> Any:
    """Return ``value`` as the key's kind, or raise SettingsError that names key and source."""
    where = key.variable if source == "environment" else f"{key.name} ({source})"
    converted = _CONVERTERS[key.kind](value, where)
    if key.choices and converted and converted not in key.choices:
        raise SettingsError(
            _("{where} is {value!r}", where=where, value=converted), nearest(str(converted), key.choices)
        )
    return converted


def _text(value: Any, where: str) -> str:
    if isinstance(value, bool):
        return "true" if value else ""
    if value is None or isinstance(value, (str, int, float)):
        text = "" if value is None else str(value)
        if "\n" in text or "\0" in text:
            raise SettingsError(_("{where} must be one line", where=where))
        return text
    raise SettingsError(_("{where} must be a text", where=where))


def _integer(value: Any, where: str) -> int:
    text = str(value)
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,6}", text) or int(text) < 1:
        raise SettingsError(_("{where} must be a whole number from 1 on, not {value!r}", where=where, value=value))
    return int(text)


def _boolean(value: Any, where: str) -> bool:
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    text = str(value).lower()
    if text not in words:
        raise SettingsError(_("{where} must be true or false, not {value!r}", where=where, value=value))
    return words[text]


def _structured(value: Any, where: str) -> Any:
    """Read JSON where a variable carries it."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except ValueError as error:
            raise SettingsError(_("{where} is not the JSON that it begins as", where=where)) from error
    return value


def _items(value: Any, where: str) -> list[Any]:
    value = _structured(value, where)
    if isinstance(value, str):
        return [item for item in re.split(r"[,\s]+", value) if item]
    if isinstance(value, (list, tuple)):
        return list(value)
    raise SettingsError(_("{where} must be a list", where=where))


def _list(value: Any, where: str) -> tuple[str, ...]:
    return tuple(_text(item, where) for item in _items(value, where))


def _map(value: Any, where: str) -> dict[str, Any]:
    value = _structured(value, where)
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        pairs = [item.partition("=") for item in _items(value, where)]
        if all(separator for _name, separator, _value in pairs):
            return {name: text for name, _separator, text in pairs}
    if not isinstance(value, Mapping):
        raise SettingsError(_("{where} must be a map of names and values", where=where))
    return {str(name): item for name, item in value.items()}


_SERVER_KEYS = ("host", "user", "port", "remote_root", "name")


def _servers(value: Any, where: str) -> tuple[Any, ...]:
    """Check the shape of servers; ``Target`` checks what they hold."""
    items = _items(value, where)
    _targets(items)
    return tuple(items)


def _targets(items: Sequence[Any]) -> tuple[Target, ...]:
    targets: list[Target] = []
    for item in items:
        target = item if isinstance(item, Target) else _target(item)
        if target.name in [other.name for other in targets]:
            raise SettingsError(_("server {name} is named twice", name=target.name))
        targets.append(target)
    return tuple(targets)


def _target(item: Any) -> Target:
    if isinstance(item, str):
        return Target.parse(item)
    if not isinstance(item, Mapping) or not item.get("host"):
        raise SettingsError(_("{value!r} is not a server: write [user@]host[:port]", value=item))
    _known(item, _SERVER_KEYS, "servers")
    return Target(
        host=str(item["host"]),
        user=str(item.get("user") or ""),
        port=_integer(item["port"], "servers.port") if item.get("port") else 0,
        remote_root=str(item.get("remote_root") or ""),
        label=str(item.get("name") or ""),
    )


def _environments(value: Any, where: str) -> dict[str, dict[str, Any]]:
    allowed = {key.name: key for key in KEYS if key.per_environment}
    checked: dict[str, dict[str, Any]] = {}
    for name, keys in _map(value, where).items():
        place = f"{where}.{name}"
        entries = _map(keys, place)
        _known(entries, list(allowed), place)
        checked[name] = {entry: _convert(allowed[entry], item, place) for entry, item in entries.items()}
    return checked


_CONVERTERS = {
    "text": _text,
    "integer": _integer,
    "boolean": _boolean,
    "list": _list,
    "map": _map,
    "servers": _servers,
    "environments": _environments,
}


def _access(role: str, environ: Mapping[str, str], insecure: Sequence[str]) -> RegistryAccess | None:
    prefix = REGISTRY_VARIABLES[role]
    value = environ.get(prefix, "")
    if not value:
        return None
    registry = Registry(value)
    return RegistryAccess(
        role=role,
        registry=registry,
        user=environ.get(f"{prefix}_USER", ""),
        password=Secret(environ.get(f"{prefix}_PASS", "")),
        insecure=registry.host in insecure or value in insecure,
    )


def _jenkins(environ: Mapping[str, str]) -> JenkinsAccess | None:
    url = environ.get("JENKINS_URL", "")
    if not url:
        return None
    return JenkinsAccess(url, environ.get("JENKINS_USER", ""), Secret(environ.get("JENKINS_TOKEN", "")))


def _optional_path(environ: Mapping[str, str], name: str) -> Path | None:
    value = environ.get(PREFIX + name)
    return Path(value) if value else None
