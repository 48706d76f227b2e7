"""Compose files for Docker Swarm: checks for what `docker stack deploy` refuses, and the second file on top.

Docker 20.10 has no `docker stack config`, so the keys are those of its schema 3.9.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from container_pipeline.errors import SettingsError
from container_pipeline.i18n import _
from container_pipeline.model import ImageRef
from container_pipeline.plan import composefile

_TOP = ("version", "services", "networks", "volumes", "secrets", "configs")
_SERVICE = (
    *("build", "cap_add", "cap_drop", "cgroup_parent", "cgroupns_mode", "command", "configs", "container_name"),
    *(
        "credential_spec",
        "depends_on",
        "deploy",
        "devices",
        "dns",
        "dns_search",
        "domainname",
        "entrypoint",
        "env_file",
    ),
    *("environment", "expose", "external_links", "extra_hosts", "healthcheck", "hostname", "image", "init", "ipc"),
    *("isolation", "labels", "links", "logging", "mac_address", "network_mode", "networks", "pid", "ports"),
    *("privileged", "read_only", "restart", "secrets", "security_opt", "shm_size", "stdin_open", "stop_grace_period"),
    *("stop_signal", "sysctls", "tmpfs", "tty", "ulimits", "user", "userns_mode", "volumes", "working_dir"),
)
#: Variables that configure a shell, sudo or Docker's client; swarm.sh does not export them.
_STEERS = re.compile(r"DOCKER_(?!REGISTRY).*|LD_.*|PATH|HOME|TMPDIR|SSH_AUTH_SOCK|GODEBUG")
_MENTIONED = re.compile(r"\$(?:(\$)|\{?([A-Za-z_][A-Za-z0-9_]*))")

#: Docker's own networks, which are not looked for.
_ON_EVERY_NODE = ("bridge", "default", "host", "none")

#: Path in the release → its content; None for a folder.
Contents = Mapping[str, "bytes | None"]


def check(text: bytes, name: str, values: Mapping[str, str]) -> None:
    """Raise SettingsError for what `docker stack deploy` refuses, or reads differently from Compose."""
    data = composefile.load(text, name)
    services = data.get("services") if isinstance(data, dict) else None
    if not isinstance(services, dict):
        raise SettingsError(_("{file} is not a Compose file: it has no `services:`", file=name))
    version = str(data.get("version") or "")
    if not re.fullmatch(r"3(\.[0-9]+)?", version):
        raise SettingsError(
            _("{file}: Swarm accepts version 3 of the Compose file, not {version}", file=name, version=version or "-"),
            _('write `version: "3.8"` at its top'),
        )
    for key in map(str, data):
        if key not in _TOP and not key.startswith("x-"):
            raise _refused(name, key, "")
    for service, keys in services.items():
        for key in map(str, keys if isinstance(keys, dict) else ()):
            if key not in _SERVICE and not key.startswith("x-"):
                raise _refused(name, key, str(service))
        if isinstance(keys, dict) and isinstance(keys.get("depends_on"), dict):
            raise SettingsError(
                _("{file}: Swarm refuses the depends_on conditions of service {service}", file=name, service=service),
                _(
                    "write a plain list; Swarm starts all services at once, so make the service retry until the others respond"
                ),
            )
    _check_variables(data, name, values)


def _refused(name: str, key: str, service: str) -> SettingsError:
    if not service:
        hints = {
            "name": _("remove it: the stack is named after the project code"),
            "include": _("write everything into one file"),
        }
        return SettingsError(_("{file}: Swarm refuses `{key}:`", file=name, key=key), hints.get(key, _("remove it")))
    limits = _("write `deploy: {resources: {limits: {cpus: '0.5', memory: 512M}}}`")
    hints = {
        "profiles": _("remove the service, or write `deploy: {replicas: 0}`"),
        "scale": _("write `deploy: {replicas: 2}`"),
        "platform": _("write `deploy: {placement: {constraints: [node.platform.arch == x86_64]}}`"),
        "extends": _("write the service out in full, or use a YAML anchor"),
        "volumes_from": _("list the volumes under each service's `volumes:`"),
        **dict.fromkeys(("cpus", "cpu_quota", "cpu_shares", "cpuset", "mem_limit", "memswap_limit"), limits),
        "mem_reservation": _("write `deploy: {resources: {reservations: {memory: 256M}}}`"),
        "pids_limit": _('write `deploy: {resources: {limits: {pids: 100}}}` and `version: "3.9"`'),
    }
    return SettingsError(
        _("{file}: Swarm refuses `{key}:` of service {service}", file=name, key=key, service=service),
        hints.get(key, _("remove it: Swarm has no equivalent")),
    )


def _check_variables(data: Any, name: str, values: Mapping[str, str]) -> None:
    for text in _texts(data):
        for escaped, variable in _MENTIONED.findall(text):
            if not escaped and variable in values and _STEERS.fullmatch(variable):
                raise SettingsError(
                    _("{file}: Docker on the server would read {variable} as its own setting", file=name, variable=variable),
                    _("pass it with `env_file: [.env]`, or rename it in .env"),
                )  # fmt: skip


def _texts(data: Any) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    for item in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        yield from _texts(item)


def override(
    text: bytes, name: str, image: ImageRef, digest: str, values: Mapping[str, str], contents: Contents
) -> bytes:
    """Return the Compose file that is deployed on top of ``text``.

    It pins the image by digest. Swarm cannot change a config or a secret, so its name contains the hash of its file.
    Swarm does not notice changes of mounted files, so each service with mounts has a label with their hash.
    """
    data = composefile.load(text, name)
    found: dict[str, Any] = {"version": str(data["version"]), "services": {}}
    for service, keys in data["services"].items():
        added: dict[str, Any] = {}
        if composefile.substitute(str(keys.get("image") or ""), values) == str(image):
            added["image"] = f"{image}@{digest}"
        mounts = sorted(set(composefile.mounts(keys, values)))
        if mounts:
            added["labels"] = {"container-pipeline.files": _hash(contents, mounts)}
        if added:
            found["services"][str(service)] = added
    for kind in ("configs", "secrets"):
        named = dict(_named(data, kind, name, values, lambda path: _hash(contents, [path])))
        if named:
            found[kind] = named
    # JSON is YAML. A $ would begin a variable.
    return (json.dumps(found, indent=1).replace("$", "$$") + "\n").encode()


def uploads(text: bytes, name: str, values: Mapping[str, str]) -> tuple[str, ...]:
    """Return the paths of the project's files that configs and secrets use."""
    data = composefile.load(text, name)
    return tuple(path for kind in ("configs", "secrets") for _key, path in _files_of(data, kind, values))


def external(text: bytes, name: str, values: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the names of what services use and somebody else made, by kind: networks, volumes, configs and secrets."""
    data = composefile.load(text, name)
    found: dict[str, tuple[str, ...]] = {}
    for kind in ("networks", "volumes", "configs", "secrets"):
        used = {key for keys in data["services"].values() for key in _used(keys, kind, values)}
        names = {_outside_name(key, entry, values) for key, entry in (data.get(kind) or {}).items() if str(key) in used}
        # A name that Docker does not give to what it makes, it refuses by itself.
        found[kind] = tuple(sorted(one for one in names if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", one)))
    found["networks"] = tuple(one for one in found["networks"] if one not in _ON_EVERY_NODE)
    return found


def _used(service: Mapping[str, Any], kind: str, values: Mapping[str, str]) -> Iterator[str]:
    entries = service.get(kind) or (["default"] if kind == "networks" and not service.get("network_mode") else [])
    for entry in entries:
        if isinstance(entry, Mapping):
            yield composefile.substitute(str(entry.get("source") or ""), values)
        else:
            yield composefile.substitute(str(entry), values).split(":")[0]


def _outside_name(key: object, entry: Any, values: Mapping[str, str]) -> str:
    """Return the name of what is ``external``, "" where the stack makes it."""
    said = entry.get("external") if isinstance(entry, dict) else None
    if isinstance(said, str):
        said = composefile.substitute(said, values).lower() in ("true", "yes", "on", "y")
    if not said:
        return ""
    named = said.get("name") if isinstance(said, dict) else None
    return composefile.substitute(str(named or entry.get("name") or key), values)


def _files_of(data: Mapping[str, Any], kind: str, values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each of ``configs`` or ``secrets`` with a file of the project, and the file's path."""
    for key, entry in (data.get(kind) or {}).items():
        if isinstance(entry, dict) and entry.get("file") and not entry.get("external"):
            path = posixpath.normpath(composefile.substitute(str(entry["file"]), values))
            if not path.startswith("/"):
                yield str(key), path


def _named(
    data: Mapping[str, Any], kind: str, name: str, values: Mapping[str, str], hashed: Callable[[str], str]
) -> Iterator[tuple[str, dict[str, str]]]:
    for key, path in _files_of(data, kind, values):
        minor = int(f"{data['version']}.0".split(".")[1])
        if minor < 5:
            raise SettingsError(
                _("{file}: Swarm cannot update {key} of `{kind}:` when {path} changes", file=name, key=key, kind=kind, path=path),
                _("write `version: \"3.5\"` or later, so that the name can change with the content"),
            )  # fmt: skip
        written = composefile.substitute(str(data[kind][key].get("name") or key), values)
        yield key, {"file": path, "name": f"{written}-{hashed(path)}"}


def _hash(contents: Contents, paths: Iterable[str]) -> str:
    """Return a short hash of files and of the content of folders."""
    digest = hashlib.sha256()
    for path in paths:
        for other in sorted(contents):
            if other == path or other.startswith(f"{path}/") or path == ".":
                digest.update(repr((other, contents[other])).encode())
    return digest.hexdigest()[:12]
