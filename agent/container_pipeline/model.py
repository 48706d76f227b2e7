"""Value types that are validated in full on creation.

Grammar of image names: github.com/distribution/reference (``reference.go``); of container and host names: Docker.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import ClassVar, TypeVar

from container_pipeline.errors import SettingsError
from container_pipeline.i18n import _

_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_DOMAIN_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"(?:{_DOMAIN_LABEL}(?:\.{_DOMAIN_LABEL})*|\[[a-fA-F0-9:]+\])"


def _checked(value: str, pattern: str, message: str) -> str:
    """Return ``value`` if all of it matches ``pattern``; else raise SettingsError with ``message``."""
    if not re.fullmatch(pattern, value):
        raise SettingsError(message)
    return value


Self = TypeVar("Self", bound="Name")


class Name(str):
    """A string that is validated in full on creation."""

    __slots__ = ()

    def __new__(cls: type[Self], value: str) -> Self:
        cls.check(value)
        return super().__new__(cls, value)

    @classmethod
    def check(cls, value: str) -> None:
        """Raise SettingsError if ``value`` is invalid."""
        raise NotImplementedError


class Secret:
    """A value that must not be shown: it prints as ``***``; only ``reveal()`` returns it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "***"


class Code(Name):
    """A project's code, such as ``aglaia-web-re``: image, Compose service, container and host name.

    Dots and capitals are refused: Compose would fold ``My.App`` and ``myapp`` into one project.
    """

    __slots__ = ()

    PATTERN: ClassVar[str] = r"[a-z0-9]+(?:(?:_|-+)[a-z0-9]+)*"

    @classmethod
    def check(cls, value: str) -> None:
        if not re.fullmatch(cls.PATTERN, value):  # formatted lazily: a jobs file has thousands
            raise SettingsError(
                _(
                    "{value!r} is not a project code: use small letters, digits and single dashes, such as aglaia-web-re",
                    value=value,
                )
            )
        if len(value) > 63:
            raise SettingsError(
                _("project code {value!r} is longer than the 63 characters of a host name", value=value)
            )


class Repository(Name):
    """A repository's path within a registry: ``[namespace/]name``."""

    __slots__ = ()

    @classmethod
    def check(cls, value: str) -> None:
        message = _(
            "{value!r} is not an image name: use small letters, digits, dots and dashes, with / before a namespace",
            value=value,
        )
        _checked(value, rf"{_COMPONENT}(?:/{_COMPONENT})*", message)
        if len(value) > 200:
            raise SettingsError(
                _("image name {value!r} is too long: Docker accepts at most 255 characters", value=value)
            )


class Version(Name):
    """A version: the image's tag. This product uses the local time, ``%Y%m%d%H%M%S``."""

    __slots__ = ()

    FORMAT: ClassVar[str] = "%Y%m%d%H%M%S"

    @classmethod
    def check(cls, value: str) -> None:
        message = _("{value!r} is not a version: a version is a tag such as 20261124093015", value=value)
        _checked(value, r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", message)
        if value == "latest":
            raise SettingsError(
                _(
                    "`latest` moves, so it is not a version: pass the version itself; `container-pipeline images` lists them"
                )
            )


class Digest(Name):
    """A content digest, ``sha256:`` and 64 hexadecimal digits."""

    __slots__ = ()

    @classmethod
    def check(cls, value: str) -> None:
        _checked(value, r"sha256:[0-9a-f]{64}", _("{value!r} is not a sha256 digest", value=value))

    @property
    def short(self) -> str:
        return self[7:19]


class Registry(Name):
    """A registry as the convention writes it: ``host[:port][/path]``, without a scheme."""

    __slots__ = ()

    @classmethod
    def check(cls, value: str) -> None:
        message = _(
            "{value!r} is not a registry: write host[:port][/path] without a scheme, such as registry.example:5000/team",
            value=value,
        )
        _checked(value, rf"{_HOST}(?::[0-9]{{1,5}})?(?:/{_COMPONENT})*", message)
        host = value.partition("/")[0]
        port = host.rpartition(":")[2]
        if port.isdigit() and int(port) > 65535:
            raise SettingsError(message)
        if host == host.lower() and host != "localhost" and not set(host) & set(".:"):
            # Docker reads such a first part as a path on Docker Hub (``splitDockerDomain``).
            raise SettingsError(
                _(
                    "Docker would read registry {value!r} as a part of Docker Hub: its host needs a dot or a port",
                    value=value,
                )
            )

    @property
    def host(self) -> str:
        """Host and port; a login applies to them."""
        return self.partition("/")[0]

    @property
    def path(self) -> str:
        """Prefix of each repository name, such as ``team``, or ""."""
        return self.partition("/")[2]

    @property
    def is_docker_hub(self) -> bool:
        """Whether the engine reads it as Docker Hub, whose images have no host in their names (``splitDockerDomain``)."""
        return self.host.lower() in ("docker.io", "index.docker.io")

    @property
    def api_host(self) -> str:
        """Host and port of the registry's API; Docker Hub's API has a different host."""
        hub = self.is_docker_hub or self.host.lower() == "registry.hub.docker.com"
        return "registry-1.docker.io" if hub else self.host

    @property
    def login_key(self) -> str:
        """Key under which Docker stores a login; for Docker Hub it is a URL (docker/cli, ``IndexServer``)."""
        return "https://index.docker.io/v1/" if self.is_docker_hub else self.host

    def within(self, repository: Repository) -> str:
        """Return the repository's full path in the registry; on Docker Hub, a single name is in ``library``."""
        whole = f"{self.path}/{repository}" if self.path else str(repository)
        return f"library/{whole}" if self.api_host == "registry-1.docker.io" and "/" not in whole else whole


#: Role of a registry → the convention's variable; its user and password variables end in _USER and _PASS.
REGISTRY_VARIABLES = {"development": "DOCKER_REGISTRY", "production": "DOCKER_REGISTRY_PROD"}


@dataclass(frozen=True)
class RegistryAccess:
    """A registry and how to log in to it; ``role`` is "development" or "production"."""

    role: str
    registry: Registry
    user: str = ""
    password: Secret = field(default=Secret(""))
    insecure: bool = False
    #: Whether this is the login that servers pull with.
    pulls: bool = False

    @property
    def variable(self) -> str:
        """Name of the variable with its address."""
        return REGISTRY_VARIABLES[self.role]

    @property
    def login_variable(self) -> str:
        """Prefix of the two variables with its login, before ``_USER`` and ``_PASS``."""
        return f"{self.variable}_PULL" if self.pulls else self.variable


#: The label of an image's build time (github.com/opencontainers/image-spec, annotations.md).
CREATED = "org.opencontainers.image.created"


def moment(text: str) -> datetime | None:
    """Return a moment of RFC 3339 in UTC, None for what is none, such as the year 1, by which Go writes that it knows none."""
    # Docker writes nanoseconds; before Python 3.11 no part of a second may be longer than six digits.
    found = re.fullmatch(r"([0-9-]{10})[Tt ]([0-9:]{8})(?:\.[0-9]+)?(?:[Zz]|([+-][0-9:]{5}))?", text)
    if not found:
        return None
    try:
        read = datetime.fromisoformat(f"{found[1]}T{found[2]}{found[3] or '+00:00'}").astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None
    return read if 1900 < read.year < 9000 else None


def build_time(text: object) -> str:
    """Return the value of the label ``CREATED`` as ``2026-11-24T09:30:15Z``, "" where it is none: such texts sort by age."""
    read = moment(text) if isinstance(text, str) else None
    return read.strftime("%Y-%m-%dT%H:%M:%SZ") if read else ""


def local_time(text: str) -> str:
    """Return a moment of RFC 3339 as people read it: ``2026-11-24 17:30``, in this machine's time zone; other texts as they are."""
    read = moment(text)
    return read.astimezone().strftime("%Y-%m-%d %H:%M") if read else text


@dataclass(frozen=True)
class Ref:
    """The branch, tag or pull request of a build, as a multibranch job of Jenkins names it; empty in every other build.

    ``change`` is the number of a pull request, ``fork`` the repository that it comes from where that is another one.
    """

    name: str = ""
    primary: bool = False
    tag: str = ""
    change: str = ""
    fork: str = ""


@dataclass(frozen=True)
class JenkinsAccess:
    """A Jenkins controller and how to log in to it; the URL may carry a path prefix."""

    url: str
    user: str = ""
    token: Secret = field(default=Secret(""))


@dataclass(frozen=True)
class ImageRef:
    """One image in one registry by tag: ``registry/repository:tag``."""

    registry: Registry
    repository: Repository
    tag: str

    def __str__(self) -> str:
        return f"{self.name}:{self.tag}"

    @property
    def name(self) -> str:
        """The name without the tag, in the engine's form."""
        return f"{self.registry}/{self.repository}"

    @property
    def familiar(self) -> str:
        """The name without the tag as the engine lists it: without Docker Hub's host and without ``library``."""
        if not self.registry.is_docker_hub:
            return self.name
        return self.registry.within(self.repository).removeprefix("library/")

    def with_tag(self, tag: str) -> ImageRef:
        return replace(self, tag=tag)

    def in_registry(self, registry: Registry) -> ImageRef:
        return replace(self, registry=registry)


@dataclass(frozen=True)
class Target:
    """A server, as OpenSSH reaches it; names, users and ports from the user's ssh config work too."""

    host: str
    user: str = ""
    port: int = 0
    remote_root: str = ""
    label: str = ""

    def __post_init__(self) -> None:
        message = _("{value!r} is not a server: write [user@]host[:port]", value=self.host)
        _checked(self.host, rf"{_HOST}|[A-Za-z0-9_]+(?:(?:\.|-+)[A-Za-z0-9_]+)*|[a-fA-F0-9:]+", message)
        if self.user:
            message = _("{value!r} is not a valid user name on a server", value=self.user)
            _checked(self.user, r"[A-Za-z_][A-Za-z0-9_.-]*\$?", message)
        if not 0 <= self.port <= 65535:
            raise SettingsError(_("{value!r} is not a valid port", value=self.port))

    @classmethod
    def parse(cls, text: str) -> Target:
        """Parse ``[user@]host[:port]``; an IPv6 address with a port needs brackets."""
        message = _("{value!r} is not a server: write [user@]host[:port]", value=text)
        user, at, rest = text.rpartition("@")
        found = re.fullmatch(r"(\[[a-fA-F0-9:]+\]|[^:\[\]]+)(?::([0-9]{1,20}))?", rest)
        if not found or (at and not user):
            raise SettingsError(message)
        return cls(host=found[1].strip("[]"), user=user, port=int(found[2] or 0))

    @property
    def name(self) -> str:
        """Name of this server in tables and log lines."""
        return self.label or self.host + (f":{self.port}" if self.port else "")

    @property
    def ssh(self) -> str:
        """The command with which a person logs in."""
        return f"ssh {f'-p {self.port} ' if self.port else ''}{f'{self.user}@' if self.user else ''}{self.host}"

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Program:
    """A program whose output is the service's environment: its arguments, for which no shell is needed, and its bounds.

    ``format`` is "dotenv" or "json"; ``timeout`` is in seconds; ``inherit`` names the variables that it gets besides PATH and the like.
    """

    command: tuple[str, ...]
    format: str = "dotenv"
    timeout: int = 60
    inherit: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The program without its arguments, which could hold a secret."""
        return self.command[0]


@dataclass(frozen=True)
class RunOptions:
    """Options of `run`; the default port is that of docker.sh.

    They mean what Docker's options mean: ``volumes`` -v, ``ports`` -p, ``environment`` -e and --env-file.
    """

    ports: tuple[str, ...] = ("80:80",)
    volumes: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    detach: bool = False


@dataclass(frozen=True)
class Edit:
    """Replace lines ``first`` to ``last`` (1-based, inclusive) with ``lines``; if ``last`` < ``first``, insert them.

    ``plain`` also removes a byte order mark and carriage returns.
    """

    first: int
    last: int
    lines: tuple[str, ...]
    plain: bool = False


#: What XML 1.0 cannot carry (W3C XML 1.0, 2.2 Char): control characters, surrogates, and two that are no characters.
NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class Finding:
    """A finding of lint, or of a program that lint runs, on one line of a file."""

    rule: str
    file: str
    line: int
    message: str
    hint: str = ""
    edit: Edit | None = None

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}: {self.rule} {self.message}"
        return f"{text} — {self.hint}" if self.hint else text


@dataclass(frozen=True)
class File:
    """One file or folder (``data`` None) of a release; ``path`` is relative, with slashes; ``mode`` as chmod takes it."""

    path: str
    data: bytes | None
    mode: int = 0o644
