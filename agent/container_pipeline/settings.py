"""Settings from option, environment, project file, site default and default, in this order; validated and frozen.

This module alone reads ``container-pipeline.yml`` and this product's own variables. Variables of the machine (language,
terminal, HOME, proxies, CAs, a child's environment) are read where they are used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from container_pipeline.errors import SettingsError
from container_pipeline.i18n import _
from container_pipeline.keys import BY_NAME, KEYS, PREFIX, PROJECT_FILE, SIGN_PASSWORD, Values, nearest
from container_pipeline.model import (
    REGISTRY_VARIABLES,
    Code,
    ImageRef,
    JenkinsAccess,
    Ref,
    Registry,
    RegistryAccess,
    Repository,
    Secret,
    Target,
)
from container_pipeline.outside import LARGEST_YAML, Unreadable, check_keys, read_file, read_yaml
from container_pipeline.values import as_texts, convert, refuse_unknown, target_of, targets

#: Source of a value, besides "default", the project file's name, ``environments.NAME`` and "option".
SITE, ENVIRONMENT = "site", "environment"


@dataclass(frozen=True)
class Settings:
    """All settings of a command. Create it with ``load``; paths are absolute."""

    project: Path
    values: Values
    image_name: str = ""
    environment: str = ""
    development: RegistryAccess | None = None
    production: RegistryAccess | None = None
    #: Role → the same registry with the login that servers pull with, if one is set.
    pulls: Mapping[str, RegistryAccess] = field(default_factory=dict)
    jenkins: JenkinsAccess | None = None
    ssh_key: Path | None = None
    ssh_config: Path | None = None
    known_hosts: Path | None = None
    build_url: str = ""
    #: Who answered the question of the pipeline, "" if nobody was asked.
    approved_by: str = ""
    #: Address of a chat's webhook, and the secret that its messages are signed with.
    webhook: Secret = field(default=Secret(""))
    webhook_secret: Secret = field(default=Secret(""))
    #: The password of the key that signs images.
    sign_password: Secret = field(default=Secret(""))
    #: Whether the Jenkins library runs this command; then it reports the results.
    in_library: bool = False
    #: Whether the Jenkins library tells a chat of the run.
    library_tells: bool = False
    ref: Ref = field(default_factory=Ref)
    servers: tuple[Target, ...] = ()
    #: Servers from the project file, a variable and an option, whichever wins; without those of environments.
    named: tuple[Target, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    #: Values of the variables that the program of ``env_from`` inherits.
    inherited: tuple[Secret, ...] = ()

    @property
    def code(self) -> Code:
        """The project code; raises SettingsError if it is not set."""
        if not self.values.code:
            raise SettingsError(
                _("no project code is set"),
                _("set `code:` in {file}, or pass --code CODE", file=PROJECT_FILE),
            )
        return Code(self.values.code)

    @property
    def repository(self) -> Repository:
        """The image's path in each registry; a command's ``image_name`` replaces the code."""
        namespace, name = self.values.namespace, self.image_name or str(self.code)
        return Repository(f"{namespace}/{name}" if namespace else name)

    def origins(self) -> dict[str, str]:
        """Return key → source of its value, for every key that does not have the product's default."""
        names = {ENVIRONMENT: lambda key: key.variable, SITE: lambda key: key.site_variable}
        return {
            name: names[source](BY_NAME[name]) if source in names else source
            for name, source in self.sources.items()
            if source != "default"
        }

    def overridden(self) -> list[tuple[str, str]]:
        """Return each (environment, key) of the project file whose value a variable overrides, in every environment."""
        return [
            (environment, key)
            for environment, values in self.values.environments.items()
            for key in values
            if key not in ("branches", "freeze") and self.sources[key] == ENVIRONMENT
        ]

    @property
    def tells_a_chat(self) -> bool:
        """Whether a chat is told of this run: by itself, or in the report of the Jenkins library."""
        return bool(self.webhook) or self.library_tells

    @property
    def branches(self) -> tuple[str, ...]:
        """The patterns of branches that deploy to this environment: its own, else the project's (``values.branches``)."""
        own: tuple[str, ...] = self.values.environments.get(self.environment, {}).get("branches", ())
        return own or self.values.branches

    def path(self, key: str) -> Path:
        """Return the path in ``key``; a relative path starts at the project's root."""
        return self.project / str(getattr(self.values, key))

    def access(self, role: str, *, login: bool = False) -> RegistryAccess:
        """Return the registry of ``role``; raises SettingsError with the variable to set.

        With ``login``, user and password must be set too.
        """
        prefix = REGISTRY_VARIABLES[role]
        access = self.production if role == "production" else self.development
        if access is None:
            label = _("the production registry") if role == "production" else _("the registry")
            raise SettingsError(_("{variable} is not set; it names {what}", variable=prefix, what=label), _where())
        if login:
            _check_login(access)
        return access

    def controller(self) -> JenkinsAccess:
        """Return the Jenkins controller; raises SettingsError with the variable to set."""
        if self.jenkins is None:
            raise SettingsError(
                _("JENKINS_URL is not set; it names the Jenkins controller"),
                _(
                    "set it, and JENKINS_USER and JENKINS_TOKEN (an API token of that user); `seed --job-dsl --dry-run` checks jobs files without a Jenkins"
                ),
            )
        if not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s?#]*)?", self.jenkins.url):
            raise SettingsError(
                _("JENKINS_URL is not an address: write http(s)://host[:port][/prefix]"),
                _("set the user and token in JENKINS_USER and JENKINS_TOKEN instead"),
            )
        return self.jenkins

    def pull_from(self) -> RegistryAccess:
        """Return the registry that servers pull from, with their own login if one is set.

        Raises SettingsError with the variable to set, also if that login lacks a user or a password.
        """
        access = self.access("production" if self.pulls_from_production else "development")
        if access.role in self.pulls:
            access = self.pulls[access.role]
            _check_login(access)
        return access

    def passwords(self) -> list[Secret]:
        """Return every password and token that must never be shown."""
        accesses = (self.development, self.production, *self.pulls.values())
        # The token is the last part of a webhook's address.
        parts = re.split(r"[/=]", self.webhook.reveal().strip())
        tokens = [Secret(part) for part in parts[-1:] if len(part) >= 8]
        return [
            *(access.password for access in accesses if access),
            *([self.jenkins.token] if self.jenkins else []),
            *self.inherited,
            *(secret for secret in (self.webhook, self.webhook_secret, self.sign_password, *tokens) if secret),
        ]

    @property
    def pulls_from_production(self) -> bool:
        role = self.values.registry or ("production" if self.production else "development")
        return bool(role == "production")

    def image(self, access: RegistryAccess, tag: str) -> ImageRef:
        return ImageRef(access.registry, self.repository, tag)

    def all_targets(self) -> tuple[Target, ...]:
        """Return all servers from all sources and environments, each once; possibly none.

        Two servers with the same name but different folders are distinct.
        """
        entries = [item for values in self.values.environments.values() for item in values.get("servers", ())]
        return tuple(dict.fromkeys([*self.named, *(target_of(item) for item in entries)]))

    def targets(self) -> tuple[Target, ...]:
        """Return the servers; raises SettingsError if none are set, or only as a default where environments have their own."""
        choices = [name for name, values in self.values.environments.items() if values.get("servers")]
        if choices and not self.environment and self.sources.get("servers", "default") in ("default", SITE):
            raise SettingsError(
                _("this project's servers belong to environments: {names}", names=", ".join(choices)),
                _("choose one with --environment, or servers with --server"),
            )
        if not self.servers:
            raise SettingsError(
                _("no server is set"),
                _("set `servers:` in {file}, or pass --server [USER@]HOST[:PORT]", file=PROJECT_FILE),
            )
        return self.servers


def load(
    project: Path,
    options: Mapping[str, Any],
    environment: str = "",
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Merge and validate all sources. ``options`` maps keys to values; None means not set.

    Raises SettingsError for an invalid value, with the source of the value.
    """
    environ = os.environ if environ is None else environ
    environment = environment or environ.get(PREFIX + "ENVIRONMENT", "")
    if not project.is_dir():
        raise SettingsError(
            _("project folder {path} does not exist", path=project), _("pass an existing folder with --project DIR")
        )
    project = project.resolve()
    layers = [
        (SITE, {key.name: environ[key.site_variable] for key in KEYS if environ.get(key.site_variable)}),
        (PROJECT_FILE, _read_project_file(project / PROJECT_FILE)),
        (ENVIRONMENT, {key.name: environ[key.variable] for key in KEYS if environ.get(key.variable)}),
        ("option", {name: value for name, value in options.items() if value is not None}),
    ]
    values = dict(_defaults())
    sources = dict.fromkeys(values, "default")
    named: list[Target] = []
    for source, layer in layers:
        for name, value in layer.items():
            converted = convert(BY_NAME[name], value, source)
            values[name] = _joined(name, values, converted)
            sources[name] = source
        named += targets(values["servers"])
    if environment:
        _enter(environment, values, sources)
    _choose_env(values, sources)
    program = values["env_from"]
    insecure = tuple(values["insecure"])
    accesses = {role: _access(role, environ, insecure) for role in REGISTRY_VARIABLES}
    return Settings(
        project=project,
        values=Values(**values),
        environment=environment,
        development=accesses["development"],
        production=accesses["production"],
        pulls={role: login for role, access in accesses.items() if access and (login := _pull_login(access, environ))},
        jenkins=_jenkins(environ),
        ssh_key=_optional_path(environ, "SSH_KEY"),
        ssh_config=_optional_path(environ, "SSH_CONFIG"),
        known_hosts=_optional_path(environ, "KNOWN_HOSTS"),
        build_url=_one_line(environ, "BUILD_URL"),
        approved_by=_one_line(environ, PREFIX + "APPROVED_BY"),
        webhook=Secret(environ.get(PREFIX + "WEBHOOK", "")),
        webhook_secret=Secret(environ.get(PREFIX + "WEBHOOK_SECRET", "")),
        sign_password=Secret(environ.get(SIGN_PASSWORD, "")),
        in_library=PREFIX + "START" in environ,
        library_tells=PREFIX + "TELLS_CHAT" in environ,
        ref=_ref(environ),
        servers=targets(values["servers"]),
        named=tuple(named),
        sources=sources,
        inherited=tuple(Secret(environ.get(name, "")) for name in (program.inherit if program else ())),
    )


@cache
def _defaults() -> Mapping[str, Any]:
    return {key.name: convert(key, key.default, "default") for key in KEYS}


def _enter(environment: str, values: dict[str, Any], sources: dict[str, str]) -> None:
    """Merge the environment's values over the file's values and the site's defaults; options and overrides still win.

    Its ``branches`` stay beside the project's: they say who deploys there, the project's who moves ``latest`` and promotes.
    """
    known = values["environments"]
    if environment not in known:
        raise SettingsError(
            _("this project has no environment {name!r}", name=environment),
            nearest(environment, list(known)) if known else _("set `environments:` in {file}", file=PROJECT_FILE),
        )
    for name, value in known[environment].items():
        if name not in ("branches", "freeze") and sources[name] in ("default", SITE, PROJECT_FILE):
            values[name] = value
            sources[name] = f"environments.{environment}"
        if name == "freeze":
            values[name] = _joined(name, values, value)


def _choose_env(values: dict[str, Any], sources: dict[str, str]) -> None:
    """Keep ``env_from`` unless ``env_file`` comes from a stronger source; refuse both from the same."""
    file, program = sources["env_file"], sources["env_from"]
    if not values["env_from"] or file == "default":
        return
    if file == program:
        raise SettingsError(
            _("env_file and env_from are both set ({source})", source=file),
            _("remove one of them: each gives the whole .env of the service"),
        )
    order = ("default", SITE, PROJECT_FILE, "", ENVIRONMENT, "option")
    if order.index(file if file in order else "") > order.index(program if program in order else ""):
        values["env_from"] = None


def _joined(name: str, values: Mapping[str, Any], value: Any) -> Any:
    """Return the value of a key with a further source: windows of ``freeze`` add up, ``notify`` may have a part in each."""
    if name == "freeze":
        return tuple(dict.fromkeys((*values.get(name, ()), *value)))
    return {**values.get(name, {}), **value} if name == "notify" else value


def _read_project_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        data = _parsed(read_file(path, LARGEST_YAML))
    except Unreadable as error:
        place = error.place(path.name)
        raise SettingsError(_("{place} cannot be read: {problem}", place=place, problem=error.problem)) from error
    except OSError as error:
        raise SettingsError(
            _("{place} cannot be read: {problem}", place=path.name, problem=error.strerror or error)
        ) from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise SettingsError(_("{place} must hold keys and values, such as `code: aglaia-web-re`", place=path.name))
    refuse_unknown(data, list(BY_NAME), path.name)
    return data


@lru_cache(maxsize=4)
def _parsed(data: bytes) -> Any:
    """Return the content of a project file. A command reads the same file once for each environment."""
    return read_yaml(data, as_texts(), check=check_keys)


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


def _pull_login(access: RegistryAccess, environ: Mapping[str, str]) -> RegistryAccess | None:
    """Return the registry with the login for servers; None if neither user nor password is set."""
    pulls = replace(access, pulls=True)
    user, password = (environ.get(f"{pulls.login_variable}_{part}", "") for part in ("USER", "PASS"))
    return replace(pulls, user=user, password=Secret(password)) if user or password else None


def _check_login(access: RegistryAccess) -> None:
    """Raise SettingsError with the variable if the user or the password is missing."""
    for part, value in (("USER", access.user), ("PASS", access.password)):
        if not value:
            variable = f"{access.login_variable}_{part}"
            raise SettingsError(
                _("{variable} is not set, and {registry} needs a login", variable=variable, registry=access.registry),
                _where(),
            )


def _where() -> str:
    return _(
        "bind it from Jenkins credentials, or set it: on a build node in /etc/profile, which every user can read, "
        "on your own machine in a file that only you can read"
    )


def _jenkins(environ: Mapping[str, str]) -> JenkinsAccess | None:
    url = environ.get("JENKINS_URL", "")
    if not url:
        return None
    return JenkinsAccess(url, environ.get("JENKINS_USER", ""), Secret(environ.get("JENKINS_TOKEN", "")))


def _ref(environ: Mapping[str, str]) -> Ref:
    """Return what a multibranch job of Jenkins says of the build; without BRANCH_NAME it is not one."""
    name = _one_line(environ, "BRANCH_NAME")
    if not name:
        return Ref()
    return Ref(
        name=name,
        primary=environ.get("BRANCH_IS_PRIMARY") == "true",
        tag=_one_line(environ, "TAG_NAME"),
        change=_one_line(environ, "CHANGE_ID"),
        fork=_one_line(environ, "CHANGE_FORK"),
    )


def _one_line(environ: Mapping[str, str], name: str) -> str:
    """Return a variable that is shown and recorded unchanged; raises SettingsError for control characters."""
    value = environ.get(name, "")
    if not value.isprintable():
        raise SettingsError(
            _("{variable} holds a line break or another control character", variable=name),
            _("set it to one line, or unset it"),
        )
    return value


def _optional_path(environ: Mapping[str, str], name: str) -> Path | None:
    value = environ.get(PREFIX + name)
    return Path(value) if value else None
