"""The agent's own reader of Compose files: complete for Swarm, whose Docker 20.10 has no `config`; else minimal.

Otherwise Compose resolves the file on the server: see ``plan/resolved.py``.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from container_pipeline.errors import SettingsError
from container_pipeline.i18n import _
from container_pipeline.model import Code, ImageRef
from container_pipeline.outside import Unreadable, read_yaml

_VARIABLE = re.compile(r"\$(?:(\$)|([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-?])([^}]*))?\})")

#: Our own files in a release's folder and in the project's folder on a server.
_OURS = (
    "docker-compose.yml",
    "docker-compose.pinned.yml",
    ".env",
    ".env.v1",
    ".stack.yml",
    "releases",
    ".lock",
    "release.json",
    ".units",
)


@dataclass(frozen=True)
class ComposeFile:
    """A checked Compose file: ``services`` that Swarm starts, and ``mounts``, the relative paths that they mount."""

    services: tuple[str, ...]
    mounts: tuple[str, ...]
    env_files: tuple[str, ...]


@dataclass(frozen=True)
class Glance:
    """What is certain without Compose. ``reads_env``: the file lists .env as an env_file; ``raw_env``: with format raw."""

    reads_env: bool = False
    raw_env: bool = False
    container_name: str = ""


def glance(text: bytes, name: str, code: Code) -> Glance:
    """Return what is certain of a file; raises SettingsError if no Compose could start ``code`` from it."""
    try:
        data = load(text, name)
    except SettingsError:
        # Compose can read files that this reader cannot.
        return Glance()
    services = data.get("services") if isinstance(data, dict) else None
    if not isinstance(services, dict):
        return Glance()
    found = {str(key): service for key, service in services.items() if isinstance(service, dict)}
    if str(code) not in map(str, services) and "include" not in data:
        raise _no_service(name, code, services)
    env_files = [entry for service in found.values() for entry in _entries(service)]
    return Glance(
        reads_env=any(path == ".env" for service in found.values() for path in _env_files(service)),
        raw_env=any(isinstance(entry, dict) and entry.get("format") == "raw" for entry in env_files),
        container_name=str(found.get(str(code), {}).get("container_name") or ""),
    )


def _no_service(name: str, code: Code, services: Mapping[Any, Any]) -> SettingsError:
    return SettingsError(
        _("{file} has no service named {code}", file=name, code=code),
        _("its services are {names}", names=", ".join(map(str, services)) or "-"),
    )


def no_env(name: str) -> SettingsError:
    """Return the error for a file that reads a .env which does not exist."""
    return SettingsError(
        _("{file} reads .env, which does not exist", file=name),
        _(
            "write one, or set a different file with `env_file:` or --env-file; in Jenkins, name a secret file: `credentials: [env: 'ID']`"
        ),
    )


def read(text: bytes, name: str, code: Code, image: ImageRef, values: Mapping[str, str]) -> ComposeFile:
    """Return the checked file; raises SettingsError if the service ``code`` is missing or runs another image.

    ``values`` are the variables of the server's .env, which Compose fills into the file.
    """
    services = _services(text, name)
    own = services.get(str(code))
    if own is None:
        raise _no_service(name, code, services)
    _check_image(name, code, own, image, values)
    started = {key: service for key, service in services.items() if not service.get("profiles")}
    for key, service in started.items():
        for part in ("volumes", "ports"):
            if not isinstance(service.get(part) or [], list):
                raise SettingsError(
                    _("{file}: {part} of service {service} is not a list", file=name, part=part, service=key)
                )
        if not isinstance(service.get("environment") or [], (list, dict)):
            raise SettingsError(
                _("{file}: environment of service {service} must be a list or a map", file=name, service=key)
            )
        if service.get("build") and not service.get("image"):
            raise SettingsError(
                _(
                    "{file}: service {service} would be built on the server, but its sources are not there",
                    file=name,
                    service=key,
                ),
                _("give it an `image:`"),
            )
    return ComposeFile(
        services=tuple(started),
        mounts=tuple(dict.fromkeys(path for service in started.values() for path in mounts(service, values))),
        env_files=tuple(dict.fromkeys(path for service in started.values() for path in _env_files(service))),
    )


def load(text: bytes, name: str) -> Any:
    """Return the parsed YAML of a Compose file; raises SettingsError if it cannot be read."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Ignores Compose's own tags, such as !reset, and takes keys as they are written: a service may be named `no`."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            for key, _value in node.value:
                if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                    key.tag = "tag:yaml.org,2002:str"
            return super().construct_mapping(node, deep)

    def untagged(loader: Any, _tag: str, node: Any) -> Any:
        make = {yaml.MappingNode: loader.construct_mapping, yaml.SequenceNode: loader.construct_sequence}
        return make.get(type(node), loader.construct_scalar)(node)

    Loader.add_multi_constructor("!", untagged)  # type: ignore[no-untyped-call]
    try:
        return read_yaml(text, Loader)
    except Unreadable as error:
        place = error.place(name)
        raise SettingsError(_("{place} cannot be read: {problem}", place=place, problem=error.problem)) from error


def _services(text: bytes, name: str) -> dict[str, Any]:
    data = load(text, name)
    services = data.get("services") if isinstance(data, dict) else None
    if not isinstance(services, dict) or not all(isinstance(service, dict) for service in services.values()):
        raise SettingsError(_("{file} is not a Compose file: it has no `services:`", file=name))
    return {str(key): service for key, service in services.items()}


def _check_image(name: str, code: Code, service: Mapping[str, Any], image: ImageRef, values: Mapping[str, str]) -> None:
    written = str(service.get("image") or "")
    runs = substitute(written, values)
    if runs != str(image):
        raise SettingsError(
            _("{file}: service {code} runs {runs}, not {image}", file=name, code=code, runs=runs or "-", image=image),
            _(
                "write `image: {image}`",
                image=f"${{DOCKER_REGISTRY:-{image.registry}}}/{image.repository}:${{VERSION:-latest}}",
            ),
        )


def substitute(text: str, values: Mapping[str, str]) -> str:
    """Return ``text`` with Compose's variables filled in.

    It supports the forms of docs.docker.com/reference/compose-file/interpolation that both generations support.
    """

    def fill(found: re.Match[str]) -> str:
        escaped, plain, braced, operator, default = found.groups()
        if escaped:
            return "$"
        value = values.get(plain or braced)
        missing = not value if operator and operator.startswith(":") else value is None
        return (default if operator and operator.endswith("-") else "") if missing else str(value)

    return _VARIABLE.sub(fill, text)


def mounts(service: Mapping[str, Any], values: Mapping[str, str]) -> Iterator[str]:
    """Yield the relative sources of bind mounts, normalised."""
    for volume in service.get("volumes") or []:
        if isinstance(volume, Mapping):
            source = str(volume.get("source") or "") if volume.get("type") == "bind" else ""
        else:
            parts = substitute(str(volume), values).split(":")
            source = parts[0] if len(parts) > 1 else ""
        source = substitute(source, values)
        if source.startswith("."):
            yield posixpath.normpath(source)


def _entries(service: Mapping[str, Any]) -> Sequence[Any]:
    entries = service.get("env_file") or []
    return entries if isinstance(entries, list) else [entries]


def _env_files(service: Mapping[str, Any]) -> Iterator[str]:
    """Yield the env_file paths that must exist."""
    for entry in _entries(service):
        if not isinstance(entry, Mapping):
            yield posixpath.normpath(str(entry))
        elif entry.get("required", True):
            yield posixpath.normpath(str(entry.get("path")))


def check_files(compose: ComposeFile, files: Sequence[str], has_env: bool, name: str) -> None:
    """Raise SettingsError for a relative path that the Compose file needs and that is not uploaded."""
    for path in (*compose.mounts, *compose.env_files):
        if path == ".env" and has_env:
            continue
        if path == ".env":
            raise no_env(name)
        if not any(path == unit or path.startswith(f"{unit}/") for unit in files):
            raise SettingsError(
                _("{file} mounts {path}, which is not uploaded", file=name, path=path),
                _("add it to `files:`, or mount a named volume or an absolute path"),
            )


def units(files: Sequence[str]) -> tuple[str, ...]:
    """Return the normalised paths of ``files``; a release replaces each as a whole on a server.

    Raises SettingsError for a path outside the folder, of one of our own files, or inside another path: when both are moved
    aside in turn, the second would already belong to the new release.
    """
    found = tuple(_unit(path) for path in files)
    for number, unit in enumerate(found):
        for other in found[:number] + found[number + 1 :]:
            if unit == other or unit.startswith(f"{other}/"):
                raise SettingsError(
                    _("files: {path} is already part of {other}", path=unit, other=other), _("list it once")
                )
    return found


def _unit(path: str) -> str:
    unit = posixpath.normpath(path)
    if (
        unit.startswith(("/", "../", "-"))
        or unit in ("..", ".", "")
        or re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", unit)
    ):
        raise SettingsError(
            _("files: {path!r} is not a path inside the project", path=path),
            _("list files and folders below the project's root"),
        )
    if unit.split("/")[0] in _OURS:
        raise SettingsError(_("files: {path!r} is reserved for the release's own files", path=path))
    return unit


def for_start_first(text: bytes, container_name: str, name: str) -> bytes:
    """Return the file without its container_name, since two containers exist for a moment.

    Raises SettingsError if the name is written in a way that cannot be removed.
    """
    if not container_name:
        return text
    pattern = (
        rb"(?m)^[ \t]+container_name:[ \t]*[\"']?" + re.escape(container_name.encode()) + rb"[\"']?[ \t]*(?:#.*)?\r?\n"
    )
    changed, count = re.subn(pattern, b"", text)
    if count != 1:
        raise SettingsError(
            _("{file}: container_name cannot be removed automatically", file=name),
            _("`strategy: start-first` needs a service without `container_name:`; remove it"),
        )
    return changed
