"""Options of `docker run`, from the command line or from the project file's ``run:``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from container_pipeline.errors import SettingsError
from container_pipeline.i18n import _
from container_pipeline.keys import Key, nearest
from container_pipeline.model import ImageRef, RunOptions
from container_pipeline.plan.steps import Step
from container_pipeline.values import convert

KEYS = ("ports", "volumes", "environment", "env_file", "name", "detach")
_DETACH = Key("detach", "boolean", False, "run in the background")
_PORT = r"(?:(?:\[[0-9a-fA-F:]+\]|[0-9.]+):)?(?:[0-9]+(?:-[0-9]+)?)?:?[0-9]+(?:-[0-9]+)?(?:/(?:tcp|udp|sctp))?"
_NAME = r"[a-zA-Z0-9][a-zA-Z0-9_.-]+"


@dataclass(frozen=True)
class Start(Step):
    """Run a container of the image, removed when it ends."""

    name: ClassVar[str] = "run"
    image: ImageRef
    options: RunOptions

    def describe(self) -> str:
        return _("run {image}", image=self.image)


def options(
    given: Mapping[str, Any], files: Mapping[Path, str], folder: Path, environ: Mapping[str, str]
) -> RunOptions:
    """Validate ``given`` (the keys of ``run:``) and return the options.

    ``files`` are the texts of the env files; relative paths of volumes start at ``folder``; a name without a value
    takes it from ``environ``. Raises SettingsError for a value that Docker would refuse.
    """
    for key in given:
        if key not in KEYS:
            raise SettingsError(_("unknown key {name!r} in {where}", name=key, where="run"), nearest(str(key), KEYS))
    ports = RunOptions.ports if given.get("ports") is None else _texts(given["ports"], "run.ports")
    for port in ports:
        _check(port, _PORT, _("{value!r} is not a port to publish: write [ip:]host:container[/udp]", value=port))
    name = str(given.get("name") or "")
    if name:
        _check(name, _NAME, _("{value!r} is not a container's name", value=name))
    environment: dict[str, str] = {}
    for path, text in files.items():
        environment.update(parse_env_file(text, path.name, environ))
    environment.update(_environment(given.get("environment"), environ))
    volumes = tuple(_volume(volume, folder) for volume in _texts(given.get("volumes"), "run.volumes"))
    detach = convert(_DETACH, given.get("detach") or False, "run")
    return RunOptions(ports, volumes, environment, name, detach)


def env_files(given: Mapping[str, Any], folder: Path) -> list[Path]:
    """Return the env files in ``given``; relative paths start at ``folder``."""
    return [folder / text for text in _texts(given.get("env_file"), "run.env_file")]


def parse_env_file(text: str, name: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Read an env file like `docker run --env-file`: values are literal, quotes included.

    An error shows the number of a malformed line, not its content.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.lstrip("\ufeff").split("\n"), 1):
        entry = (line[:-1] if line.endswith("\r") else line).lstrip()
        if not entry or entry.startswith("#"):
            continue
        variable, equals, value = entry.partition("=")
        if not variable or re.search(r"\s", variable):
            raise SettingsError(_("{file}:{line} is not NAME=value", file=name, line=number))
        if equals:
            found[variable] = value
        elif variable in environ:
            found[variable] = environ[variable]
    return found


def _environment(value: Any, environ: Mapping[str, str]) -> dict[str, str]:
    if isinstance(value, Mapping):
        for name, text in value.items():
            if isinstance(text, (dict, list, tuple)):
                raise SettingsError(_("{where} must be text", where=f"run.environment.{name}"))
        return {str(name): "" if text is None else scalar(text) for name, text in value.items()}
    found: dict[str, str] = {}
    for entry in _texts(value, "run.environment"):
        name, equals, text = entry.partition("=")
        if not name:
            raise SettingsError(_("an environment variable has no name: write NAME=value or NAME"))
        if equals:
            found[name] = text
        elif name in environ:
            found[name] = environ[name]
    return found


def scalar(value: Any) -> str:
    """Return a value of a YAML map as Compose reads it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _volume(volume: str, folder: Path) -> str:
    source, colon, rest = volume.partition(":")
    if not source or (colon and not rest):
        raise SettingsError(_("{value!r} is not a volume: write host:container[:ro]", value=volume))
    if colon and (source in (".", "..") or source.startswith(("./", "../"))):
        return f"{(folder / source).resolve()}:{rest}"
    return volume


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str) or (type(value) is int and where == "run.ports"):
        return (str(value),)
    if not isinstance(value, (list, tuple)) or any(
        item is None or isinstance(item, (bool, dict, list, tuple)) for item in value
    ):
        raise SettingsError(_("{where} must be a list", where=where))
    return tuple(str(item) for item in value)


def _check(value: str, pattern: str, message: str) -> None:
    if not re.fullmatch(pattern, value):
        raise SettingsError(message)
