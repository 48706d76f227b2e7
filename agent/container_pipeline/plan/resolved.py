"""The resolved form of a Compose file, from ``compose config`` on a server, and the checks of a deploy on it.

It contains the values of env files: never show or store it.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from container_pipeline.errors import ServerError
from container_pipeline.i18n import _
from container_pipeline.model import Code, Digest, ImageRef

#: Valid names of Compose and image references of Docker; anything else would not be one word for the server's shell.
_SERVICE = r"[A-Za-z0-9._-]{1,200}"
_IMAGE = r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,500}"


@dataclass(frozen=True)
class MountSource:
    """A path on the server that a container needs. ``created``: if it is missing, Docker creates a folder.

    ``refused``: this Compose passes it on unchanged, but Docker accepts only absolute paths.
    """

    path: str
    created: bool = False
    refused: bool = False


@dataclass(frozen=True)
class Service:
    """One service; ``replicas`` 0 starts nothing; ``needs`` are the services that it requires."""

    name: str
    image: str
    replicas: int
    built: bool
    profiles: tuple[str, ...]
    sources: tuple[MountSource, ...]
    ports: tuple[str, ...]
    container_name: str
    needs: tuple[str, ...]
    networks: tuple[str, ...]
    volumes: tuple[str, ...]
    external: tuple[str, ...]
    #: Keys with which v2 mounts something in the container.
    targets: tuple[str, ...] = ()
    #: Containers of others whose network, volumes or the like it shares.
    containers: tuple[str, ...] = ()
    #: Variables of .env whose values are secrets or configs.
    variables: tuple[str, ...] = ()


@dataclass(frozen=True)
class Resolved:
    """The parsed ``compose config``; ``networks`` and ``volumes`` are the external ones, key → real name."""

    services: tuple[Service, ...]
    networks: Mapping[str, str]
    volumes: Mapping[str, str]
    #: Keys of all networks: v1 notices a missing one only when it starts.
    declared: tuple[str, ...] = ("default",)
    generation: str = "v2"
    #: Compose v1 accepts only files of one version.
    version: str = ""


@dataclass(frozen=True)
class Verdict:
    """What the server needs in order to start the release, and what must exist there first."""

    services: tuple[str, ...]
    images: tuple[str, ...]
    #: SERVICE=IMAGE of each service that runs another image than the release's.
    companions: tuple[str, ...]
    paths: tuple[str, ...]
    networks: tuple[str, ...]
    volumes: tuple[str, ...]
    containers: tuple[str, ...] = ()
    #: The version of the Compose file, where Compose reports it.
    version: str = ""
    #: For a release command: the services that it needs, and the Compose file that is added for its container.
    needs: tuple[str, ...] = ()
    throwaway: str = ""


def read(text: bytes, generation: str, folder: str) -> Resolved:
    """Parse the output of Compose ``generation`` in ``folder``; paths below it become relative. Raises ServerError."""
    try:
        data = json.loads(text) if generation == "v2" else _yaml(text)
        services = tuple(
            _service(str(name), entry, data, folder, generation) for name, entry in _map(data, "services").items()
        )
        declared = ("default", *map(str, _map(data, "networks")))
        return Resolved(
            services,
            _external(data, "networks"),
            _external(data, "volumes"),
            declared,
            generation,
            str(data.get("version") or ""),
        )
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        # `from None`: the exception's text could show part of the form.
        raise ServerError(
            _("the output of `docker compose config` cannot be read"),
            _("run `docker compose config` (`docker-compose config` on v1) on the server to see it"),
            details=[type(error).__name__],
        ) from None


def _yaml(text: bytes) -> Any:
    import yaml

    try:
        return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe loaders
    except yaml.YAMLError as error:
        raise ValueError from error


def _map(data: Any, key: str) -> Mapping[str, Any]:
    found = data.get(key) if isinstance(data, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _list(entry: Mapping[str, Any], key: str) -> Sequence[Any]:
    found = entry.get(key)
    return found if isinstance(found, list) else []


def _external(data: Any, kind: str) -> dict[str, str]:
    found = {}
    for key, entry in _map(data, kind).items():
        if isinstance(entry, Mapping) and entry.get("external"):
            outside = entry["external"]
            found[str(key)] = str(entry.get("name") or (_map(entry, "external").get("name") if outside else "") or key)
    return found


def _service(name: str, entry: Mapping[str, Any], data: Any, folder: str, generation: str) -> Service:
    entry = entry or {}
    deploy = _map(entry, "deploy")
    replicas = entry.get("scale") if entry.get("scale") is not None else deploy.get("replicas")
    sources, volumes = [], []
    for volume in _list(entry, "volumes"):
        source, named = _volume(volume, generation)
        if source:
            sources.append(replace(source, path=_relative(source.path, folder)))
        if named:
            volumes.append(named)
            device = _bound(_map(_map(data, "volumes"), named))
            sources += [MountSource(_relative(device, folder))] if device else []
    external, variables = [], []
    for kind in ("secrets", "configs") if generation == "v2" else ("secrets",):
        for used in _list(entry, kind):
            key = str(used.get("source") if isinstance(used, Mapping) else used)
            definition = _map(_map(data, kind), key)
            if definition.get("external"):
                external.append(key)
            elif definition.get("file"):
                sources.append(MountSource(_relative(str(definition["file"]), folder)))
            elif definition.get("environment"):
                variables.append(str(definition["environment"]))
    return Service(
        name=name,
        image=str(entry.get("image") or ""),
        replicas=1 if replicas is None else int(replicas),
        built=bool(entry.get("build")) and (not entry.get("image") or entry.get("pull_policy") == "build"),
        profiles=tuple(str(profile) for profile in _list(entry, "profiles")),
        sources=tuple(sources),
        ports=tuple(_ports(entry)),
        container_name=str(entry.get("container_name") or ""),
        needs=tuple(_needs(entry)),
        networks=tuple(str(key) for key in entry.get("networks") or ([] if entry.get("network_mode") else ["default"])),
        volumes=tuple(volumes),
        external=tuple(external),
        targets=tuple(str(one.get("target") or "") for one in _list(entry, "volumes") if isinstance(one, Mapping)),
        containers=tuple(_joined(entry)),
        variables=tuple(variables),
    )


def _volume(volume: Any, generation: str) -> tuple[MountSource | None, str]:
    """Return the source of a bind mount, or the key of a named volume."""
    if isinstance(volume, Mapping):
        source = str(volume.get("source") or "")
        if volume.get("type") == "bind":
            created = bool(_map(volume, "bind").get("create_host_path"))
            return MountSource(source, created, refused=generation == "v1" and not source.startswith(("/", "$"))), ""
        return None, source if volume.get("type") == "volume" else ""
    source, separator, _rest = str(volume).partition(":")
    if separator and source.startswith(("/", ".", "~")):
        return MountSource(source, created=True), ""
    return None, source if separator else ""


def _bound(definition: Mapping[str, Any]) -> str:
    """Return the folder that a volume of the driver local binds, which Docker does not create, or ""."""
    options = _map(definition, "driver_opts")
    device = str(options.get("device") or "")
    bound = "bind" in str(options.get("o") or "") and definition.get("driver", "local") == "local"
    return device if bound and device.startswith("/") else ""


def _relative(path: str, folder: str) -> str:
    """Return a path below the release's folder relative to it, as it will be in the project's folder; others unchanged."""
    path = posixpath.normpath(path)
    return posixpath.relpath(path, folder) if path == folder or path.startswith(f"{folder}/") else path


def _ports(entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield the ports of the host that only one container can have at a time.

    Of a range, such as ``8000-8005:80``, each container gets one that is free.
    """
    for port in _list(entry, "ports"):
        if isinstance(port, Mapping):
            published, target = str(port.get("published") or ""), str(port.get("target") or "")
        else:
            before, _colon, target = str(port).rpartition(":")
            published = before.rpartition(":")[2]
        if published and ("-" not in published or "-" in target):
            yield published


def _needs(entry: Mapping[str, Any]) -> Iterator[str]:
    depends = entry.get("depends_on") or ()
    if isinstance(depends, Mapping):
        yield from (
            str(name) for name, how in depends.items() if not isinstance(how, Mapping) or how.get("required", True)
        )
    else:
        yield from (str(name) for name in depends)
    for key in ("network_mode", "ipc", "pid"):
        kind, _colon, name = str(entry.get(key) or "").partition(":")
        if kind == "service":
            yield name
    for link in (*_list(entry, "links"), *_list(entry, "volumes_from")):
        kind, _colon, _rest = str(link).partition(":")
        if kind != "container":
            yield kind


def _joined(entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield each container that a service names as such."""
    for text in (*(entry.get(key) for key in ("network_mode", "ipc", "pid")), *_list(entry, "volumes_from")):
        kind, _colon, rest = str(text or "").partition(":")
        if kind == "container":
            yield rest.partition(":")[0]


def judge(
    resolved: Resolved,
    code: Code,
    image: ImageRef,
    profiles: Sequence[str],
    variables: Collection[str],
    *,
    start_first: bool,
    file: str,
) -> Verdict:
    """Return what to start and what must exist; raises ServerError for a file that cannot work.

    ``profiles`` are the enabled ones; v1 lists the services of all profiles. ``variables`` are the names in .env.
    """
    # For v1, a star is a profile like any other.
    every = "*" in profiles and resolved.generation == "v2"
    started = [one for one in resolved.services if every or not one.profiles or set(one.profiles) & set(profiles)]
    started = [one for one in started if one.replicas > 0]
    _check_own(resolved, started, code, image, file, start_first=start_first)
    names = {one.name for one in started}
    known = {one.name: one for one in resolved.services}
    named = {one.container_name for one in started}
    _check_names(started, file)
    for one in started:
        _check_service(one, file)
        for name in one.variables:
            if name not in variables:
                raise ServerError(
                    _("{file}: service {service} needs the variable {name}, which .env does not set",
                      file=file, service=one.name, name=name),
                    _("set it in .env, or use `file:`"),
                )  # fmt: skip
        for network in one.networks:
            if network not in resolved.declared:
                raise ServerError(
                    _(
                        "{file}: service {service} uses the undefined network {name}",
                        file=file,
                        service=one.name,
                        name=network,
                    ),
                    _("declare it under `networks:`"),
                )
        for need in one.needs:
            if need in known and need not in names and known[need].replicas > 0:
                raise ServerError(
                    _("{file}: service {service} needs {need}, which no enabled profile starts",
                      file=file, service=one.name, need=need),
                    _("enable its profile with COMPOSE_PROFILES in .env, or remove `profiles:`"),
                )  # fmt: skip
    return Verdict(
        services=tuple(one.name for one in started),
        images=tuple(dict.fromkeys(one.image for one in started if one.image != str(image))),
        companions=tuple(f"{one.name}={one.image}" for one in started if one.image != str(image)),
        version=resolved.version,
        paths=tuple(dict.fromkeys(source.path for one in started for source in one.sources if _must_exist(source))),
        networks=tuple(resolved.networks[key] for key in _used(started, "networks", resolved.networks)),
        volumes=tuple(resolved.volumes[key] for key in _used(started, "volumes", resolved.volumes)),
        containers=tuple(
            dict.fromkeys(name for one in started for name in one.containers if name not in named and _is_name(name))
        ),
    )


def throwaway(
    resolved: Resolved, verdict: Verdict, code: Code, service: str, image: ImageRef, digest: Digest, file: str
) -> Verdict:
    """Return ``verdict`` with what a release command in ``service`` needs; raises ServerError if there is no such service.

    Where the service runs ``image``, the container runs it by ``digest``. It never restarts, and other containers do not find it
    under the service's host name.
    """
    known = {one.name: one for one in resolved.services}
    if service not in known:
        raise ServerError(
            _("{file} has no service {service}, in which the release command would run", file=file, service=service),
            _("set `service:` of `release` to one of: {names}", names=", ".join(known)),
        )
    needs: list[str] = []
    names = list(known[service].needs)
    while names:
        name = names.pop(0)
        if name in verdict.services and name not in (service, *needs):
            needs.append(name)
            names += known[name].needs
    entry: dict[str, Any] = {"restart": "no", "hostname": "release", "logging": {"driver": "json-file"}}
    if known[service].image == str(image):
        entry["image"] = f"{image.name}@{digest}"
    form: dict[str, Any] = {"services": {service: entry}}
    if resolved.generation == "v1":
        form["version"] = resolved.version
    return replace(verdict, needs=tuple(name for name in needs if name != code), throwaway=json.dumps(form))


def _must_exist(source: MountSource) -> bool:
    # Docker would create an empty folder, owned by root, for a relative path that is not uploaded.
    return not source.created or not source.path.startswith("/")


def _used(started: Sequence[Service], kind: str, outside: Mapping[str, str]) -> list[str]:
    return [key for key in outside if any(key in getattr(one, kind) for one in started)]


def _check_own(
    resolved: Resolved, started: Sequence[Service], code: Code, image: ImageRef, file: str, *, start_first: bool
) -> None:
    own = next((one for one in started if one.name == code), None)
    if own is None:
        left_out = next((one for one in resolved.services if one.name == code), None)
        if left_out and left_out.replicas == 0:
            raise ServerError(
                _("{file}: service {code} has no replicas, so nothing would run", file=file, code=code),
                _("remove `replicas: 0` or `scale: 0`"),
            )
        if left_out:
            raise ServerError(
                _("{file}: no enabled profile starts service {code}", file=file, code=code),
                _("set COMPOSE_PROFILES={profile} in .env, or remove `profiles:`", profile=left_out.profiles[0]),
            )
        raise ServerError(
            _("{file} has no service named {code} that starts", file=file, code=code),
            _("it starts {names}; a service does not start if COMPOSE_PROFILES in .env lists none of its profiles",
              names=", ".join(one.name for one in started) or "-"),
        )  # fmt: skip
    if own.image != str(image):
        raise ServerError(
            _(
                "{file}: service {code} runs {runs}, not {image}",
                file=file,
                code=code,
                runs=own.image or "-",
                image=image,
            ),
            _(
                "write `image: {image}`",
                image=f"${{DOCKER_REGISTRY:-{image.registry}}}/{image.repository}:${{VERSION:-latest}}",
            ),
        )
    if start_first and own.container_name:
        raise ServerError(
            _("{file}: container_name cannot be removed automatically", file=file),
            _("`strategy: start-first` needs a service without `container_name:`; remove it"),
        )
    if start_first and own.ports:
        raise ServerError(
            _("{file} publishes port {port}, which two containers cannot share", file=file, port=own.ports[0]),
            _("`strategy: start-first` is for a service behind a proxy; remove the port, or use recreate"),
        )


def _is_name(text: str) -> bool:
    """Return whether Docker accepts a container's name."""
    return bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]+", text))


def _check_names(started: Sequence[Service], file: str) -> None:
    """Refuse a name that Docker refuses, and two containers with the same one: v1 notices both only when it starts them."""
    owners: dict[str, Service] = {}
    for one in started:
        if not one.container_name:
            continue
        if not _is_name(one.container_name):
            raise ServerError(
                _("{file}: service {service} has the container_name {name}, which Docker does not accept",
                  file=file, service=one.name, name=one.container_name[:80]),
                _("use letters, digits, dots, dashes and underscores"),
            )  # fmt: skip
        other = owners.setdefault(one.container_name, one)
        if other is not one or one.replicas > 1:
            raise ServerError(
                _("{file}: two containers would get container_name {name} of service {service}",
                  file=file, name=one.container_name, service=one.name),
                _("remove `container_name:`, or give each container its own"),
            )  # fmt: skip


def _check_service(one: Service, file: str) -> None:
    if one.built:
        raise ServerError(
            _(
                "{file}: service {service} would be built on the server, but its sources are not there",
                file=file,
                service=one.name,
            ),
            _("give it an `image:`"),
        )
    if not re.fullmatch(_SERVICE, one.name) or not re.fullmatch(_IMAGE, one.image):
        raise ServerError(
            _("{file}: service {service} has no valid image", file=file, service=one.name[:80]),
            _("give it an `image:`"),
        )
    if one.external:
        raise ServerError(
            _(
                "{file}: service {service} uses {name}, which is external",
                file=file,
                service=one.name,
                name=one.external[0],
            ),
            _("only Swarm has external secrets and configs; use a file instead"),
        )
    for target in one.targets:
        if not target.startswith("/"):
            raise ServerError(
                _("{file}: service {service} mounts to {path}, which is not an absolute path",
                  file=file, service=one.name, path=target),
                _("write SOURCE:/TARGET; a volume's name has at least two letters"),
            )  # fmt: skip
    for source in one.sources:
        if source.refused:
            raise ServerError(
                _(
                    "{file}: service {service} mounts {path}, which Compose v1 does not find",
                    file=file,
                    service=one.name,
                    path=source.path,
                ),
                _("write ./{path}", path=source.path),
            )
        if re.search(r"[\x00-\x1f]", source.path):
            raise ServerError(
                _("{file}: service {service} mounts a path with a control character", file=file, service=one.name)
            )
