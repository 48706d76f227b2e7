"""Assembles a release from the project's files and its image."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from container_pipeline.clients import script
from container_pipeline.errors import SettingsError, StateError
from container_pipeline.execute import Run
from container_pipeline.i18n import _
from container_pipeline.model import Digest, File, ImageRef, Program, RegistryAccess, Secret, Version, build_time
from container_pipeline.plan import composefile, envfile, stackfile
from container_pipeline.plan.deploy import Release, server_env
from container_pipeline.project import state, uploads
from container_pipeline.remote.fleet import who
from container_pipeline.settings import Settings

#: Variables of one service; each is searched for in whatever is shown.
_MOST_VALUES = 2000


@dataclass(frozen=True)
class Upload:
    """A release and the files to upload."""

    release: Release
    files: tuple[File, ...]
    profiles: tuple[str, ...] = ()
    #: The names in the server's .env.
    variables: frozenset[str] = frozenset()


def gather(run: Run, version: str | None) -> Upload:
    """Read and check everything local that a deploy needs; raises SettingsError or StateError before any change."""
    settings = run.settings
    settings.targets()
    access = settings.pull_from()
    built = state.read(settings.project)
    if not version and not built:
        raise StateError(
            _("no version was passed, and none was built here"),
            _("run `container-pipeline build` and `push`, or pass --version V"),
        )
    chosen = Version(version or (built.version if built else ""))
    known = built if built and built.version == str(chosen) and built.image == str(settings.repository) else None
    image = settings.image(access, str(chosen))
    values = server_env(_env_values(run), image)
    services, mounts, files = _files(run, image, values)
    held = ((settings.pulls_from_production and known.promoted) or known.digest) if known else ""
    digest = Digest(held) if held else _resolve(access, settings, chosen)
    external: Mapping[str, tuple[str, ...]] = {}
    if settings.values.mode == "swarm":
        external = stackfile.external(files[0].data or b"", settings.values.compose_file, values)
        files = (*files, _override(run, image, digest, values, files))
    release = Release(
        code=settings.code,
        version=chosen,
        digest=digest,
        image=image,
        services=services,
        units=composefile.units(settings.values.files),
        when=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        by=who(),
        build=settings.build_url,
        approved_by=settings.approved_by,
        environment=settings.environment,
        commit=known.revision if known else "",
        created=build_time(known.created) if known else "",
        mounts=mounts,
        external=external,
    )
    run.result.version, run.result.digest = str(chosen), str(digest)
    profiles = tuple(filter(None, values.get("COMPOSE_PROFILES", "").split(",")))
    return Upload(release, (*files, File("release.json", release.record())), profiles, frozenset(values))


def check(run: Run) -> None:
    """Refuse, before a version exists, what the checks of a deploy would refuse."""
    settings = run.settings
    settings.targets()
    image = settings.image(settings.pull_from(), Version.FORMAT.replace("%", ""))
    values = server_env(_env_values(run), image)
    files = _files(run, image, values)[2]
    if settings.values.mode == "swarm":
        _override(run, image, Digest(f"sha256:{0:064}"), values, files)


def insist_env(settings: Settings) -> None:
    """Raise SettingsError if the Compose file is missing, or reads a .env that nothing provides."""
    glance = composefile.glance(_compose_text(settings), settings.values.compose_file, settings.code)
    if glance.reads_env and not _has_env(settings):
        raise composefile.no_env(settings.values.compose_file)


def _compose_text(settings: Settings) -> bytes:
    path = settings.path("compose_file")
    if not path.is_file():
        raise SettingsError(
            _("Compose file {path} does not exist", path=path),
            _("write one as in docs/convention.md; for a Python project, `container-pipeline init` writes it"),
        )
    return path.read_bytes()


def _override(run: Run, image: ImageRef, digest: Digest, values: dict[str, str], files: tuple[File, ...]) -> File:
    name = run.settings.values.compose_file
    contents = {file.path: file.data for file in files}
    text = contents["docker-compose.yml"] or b""
    return File(".stack.yml", stackfile.override(text, name, image, str(digest), values, contents))


def _has_env(settings: Settings) -> bool:
    return bool(settings.values.env_from) or settings.path("env_file").is_file()


def _env_values(run: Run) -> dict[str, str]:
    settings = run.settings
    path = settings.path("env_file")
    if settings.values.env_from:
        values = _printed(run, settings.values.env_from)
    elif path.is_file():
        values = envfile.parse(path.read_bytes(), settings.values.env_file)
    else:
        if settings.sources.get("env_file", "default") != "default":
            raise SettingsError(_("env_file {path} does not exist", path=path))
        return {}
    if "COMPOSE_PROFILES" in values:
        # Compose itself reads it: without quotes and, in v1, without blanks.
        names = values["COMPOSE_PROFILES"].strip().strip("\"'").split(",")
        values["COMPOSE_PROFILES"] = ",".join(name.strip() for name in names)
    for name in ("VERSION", "DOCKER_REGISTRY"):
        if values.pop(name, None) is not None:
            run.console.warning(
                _(
                    "{name} in {file} is ignored: on a server, the release sets it",
                    name=name,
                    file="env_from" if settings.values.env_from else path.name,
                )
            )
    return values


def _printed(run: Run, program: Program) -> dict[str, str]:
    """Return what the program of ``env_from`` prints; it runs once in a run, and its values are never shown."""
    if run.printed is None:
        read = envfile.parse_json if program.format == "json" else envfile.parse
        values = read(script.printed(program, run.settings.project), "env_from")
        if len(values) > _MOST_VALUES:
            raise SettingsError(
                _("env_from: {program} printed more than {limit} variables", program=program.name, limit=_MOST_VALUES)
            )
        public = _public(run, values)
        hidden = [value for value in values.values() if not any(value in text for text in public)]
        run.console.redact.add(map(Secret, hidden))
        run.printed = values
    return dict(run.printed)


def _public(run: Run, values: Mapping[str, str]) -> list[str]:
    """Return what this run shows anyway, and what is no secret in any service."""
    settings = run.settings
    shown = [
        run.result.command,
        settings.code,
        settings.environment,
        str(settings.pull_from().registry),
        "true",
        "false",
    ]
    # The convention's ENV names the environment.
    return [
        *shown,
        values.get("ENV", ""),
        *(f"{target.user}@{target.name} {target.host}" for target in settings.targets()),
    ]


def _check_mode(settings: Settings) -> None:
    """Refuse keys that the mode or the strategy does not have."""
    if settings.values.mode == "swarm":
        for key, instead in (
            ("release", _("run the command as a service of the stack")),
            ("check", _("write a `healthcheck:`")),
            ("drain", _("write `stop_grace_period:`, and let the service end its requests")),
        ):
            if getattr(settings.values, key):
                raise SettingsError(
                    _("`{key}` is not for Swarm, which decides where containers run and when they stop", key=key),
                    _("remove it; {instead}", instead=instead),
                )
    elif settings.values.drain and settings.values.strategy != "start-first":
        raise SettingsError(
            _("`drain` needs `strategy: start-first`: otherwise the old container stops before the new one starts"),
            _("set it, or remove `drain`"),
        )


def _files(
    run: Run, image: ImageRef, values: dict[str, str]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[File, ...]]:
    """Return the files of the release, preceded in Swarm mode by services and mounts; else Compose on the server lists those."""
    settings = run.settings
    name = settings.values.compose_file
    text = _compose_text(settings)
    _check_mode(settings)
    units = composefile.units(settings.values.files)
    services: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    raw = settings.values.mode == "swarm"
    if raw:
        if settings.values.strategy == "start-first":
            raise SettingsError(
                _("`strategy: start-first` is not for Swarm, which updates services itself"),
                _("remove it, and write `deploy: {{update_config: {{order: start-first}}}}` in {file}", file=name),
            )
        stackfile.check(text, name, values)
        compose = composefile.read(text, name, settings.code, image, values)
        compose = replace(compose, env_files=(*compose.env_files, *stackfile.uploads(text, name, values)))
        composefile.check_files(compose, units, _has_env(settings), name)
        services, mounts = compose.services, compose.mounts
    else:
        glance = composefile.glance(text, name, settings.code)
        if glance.reads_env and not _has_env(settings):
            raise composefile.no_env(name)
        raw = glance.raw_env
        if settings.values.strategy == "start-first":
            text = composefile.for_start_first(text, glance.container_name, name)
            if glance.container_name:
                run.console.line(_("container_name is ignored, because start-first runs two containers for a moment"))
    v2 = envfile.render(values, "raw" if raw else "v2")
    files = [File("docker-compose.yml", text), File(".env", v2, 0o600)]
    if not raw and envfile.render(values, "v1") != v2:
        files.append(File(".env.v1", envfile.render(values, "v1"), 0o600))
    files += [file for unit in units for file in uploads.collect(settings.project, unit)]
    return services, mounts, tuple(files)


def _resolve(access: RegistryAccess, settings: Settings, version: Version) -> Digest:
    """Return the version's digest from the registry."""
    from container_pipeline.clients.registry import RegistryClient

    digest = RegistryClient(access).resolve(settings.repository, str(version))
    if digest is None:
        raise SettingsError(
            _("{image} is not in the registry", image=settings.image(access, str(version))),
            _("run `container-pipeline images` to see what the registry holds, then `push` or `promote` the version"),
        )
    return digest
