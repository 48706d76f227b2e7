"""How an image is built: checks, version, labels, builder, and the recorded state."""

from __future__ import annotations

import os
import time
from pathlib import Path

from container_pipeline.clients import git
from container_pipeline.clients.buildkit import BuildKit
from container_pipeline.clients.engine import BuildOptions, Engine
from container_pipeline.errors import BuildError, SettingsError, StateError
from container_pipeline.execute import Run, signing, verification
from container_pipeline.i18n import _
from container_pipeline.model import CREATED, ImageRef, RegistryAccess, Version, build_time
from container_pipeline.plan import branches
from container_pipeline.plan.run import scalar
from container_pipeline.project import files, state
from container_pipeline.project.context import IGNORE_FILE
from container_pipeline.result import ImageBuilt
from container_pipeline.settings import Settings


def check(settings: Settings) -> None:
    """Refuse settings with which no build can succeed, before anything is changed."""
    folder, dockerfile = paths(settings)
    if not folder.is_dir():
        raise SettingsError(_("build context {path} does not exist", path=folder), _("set `context:` to a folder"))
    if not dockerfile.is_file():
        raise BuildError(
            _("{path} does not exist", path=dockerfile),
            _(
                "write one, or set another with `dockerfile:`; for a Python project, `container-pipeline init` writes one"
            ),
        )
    for path in (dockerfile, dockerfile.with_name(f"{dockerfile.name}.dockerignore"), folder / IGNORE_FILE):
        encoding = files.encoding(path.read_bytes()) if path.is_file() else ""
        if encoding.startswith(("utf-16", "utf-32")):
            raise SettingsError(
                _("{path} is {encoding}, which Docker cannot read", path=path, encoding=encoding.upper()),
                _("save it as UTF-8; `container-pipeline lint --fix` does it for you"),
            )
    for name, path in _secrets(settings).items():
        if not path.is_file():
            raise SettingsError(_("secret {name}: {path} does not exist", name=name, path=path))
    verification.check(settings)
    if branches.publishes(settings):
        signing.check(settings, folder)
    problem = state.cannot_write(settings.project)
    if problem:
        raise StateError(
            _("the version cannot be recorded in {path}: {problem}", path=settings.project, problem=problem),
            _("make the project's folder writable"),
        )


def new_version(run: Run, engine: Engine) -> Version:
    """Return the local time to the second, unique among the builds of this image."""
    image = run.settings.image(run.settings.access("development"), "latest")
    former = state.last_version(run.settings.project)
    while True:
        now = time.time()
        version = Version(time.strftime(Version.FORMAT, time.localtime(now)))
        taken = str(version) == former or engine.image(image.with_tag(str(version))) is not None
        if not taken and (run.dry_run or state.reserve(image.name, str(version))):
            return version
        time.sleep(1 - now % 1)


def build(run: Run, engine: Engine, image: ImageRef) -> None:
    """Build ``image`` and record the version and its sources."""
    settings, console = run.settings, run.console
    folder, dockerfile = paths(settings)
    sources = git.sources(folder, dockerfile)
    options = _options(settings, dockerfile, _annotations(image, sources))
    buildkit = _buildkit(settings, run)
    if buildkit:
        console.line(_("builder: BuildKit ({program})", program=buildkit.program))
        buildkit.build(folder, image, options, _secrets(settings), settings.values.platforms, settings.values.attest)
    else:
        console.line(_("builder: the engine's own"))
        engine.build(folder, image, options)
    found = engine.image(image)
    if found is None:
        raise BuildError(
            _("{image} was built, but is not in the engine", image=image),
            _("unset BUILDX_BUILDER, so that docker builds in the engine itself"),
        )
    built = state.Built(
        image=str(image.repository),
        version=image.tag,
        image_id=found.id,
        revision=sources.revision,
        sources=sources.fingerprint,
        created=build_time(options.labels[CREATED]),
    )
    state.write(settings.project, built)
    run.result.add(ImageBuilt(revision=sources.revision, size=found.size))


def paths(settings: Settings) -> tuple[Path, Path]:
    """Return context and Dockerfile; the Dockerfile may lie outside the context."""
    folder = Path(os.path.normpath(settings.path("context")))
    return folder, Path(os.path.normpath(folder / str(settings.values.dockerfile)))


def _options(settings: Settings, dockerfile: Path, annotations: dict[str, str]) -> BuildOptions:
    values = settings.values
    return BuildOptions(
        dockerfile=str(dockerfile),
        arguments={name: scalar(value) for name, value in values.build_args.items()},
        labels={**annotations, **{name: scalar(value) for name, value in values.labels.items()}},
        cache=values.cache,
        logins=_logins(settings, dockerfile),
    )


def _secrets(settings: Settings) -> dict[str, Path]:
    return {name: settings.project / str(path) for name, path in settings.values.secrets.items()}


def _logins(settings: Settings, dockerfile: Path) -> tuple[RegistryAccess, ...]:
    """Return the registries with a known login from which the Dockerfile may pull (Docker Hub's images have no host)."""
    text = dockerfile.read_text(encoding="utf-8", errors="replace")
    text += " ".join(str(value) for value in settings.values.build_args.values())
    known = (settings.development, settings.production)
    if settings.ref.change:
        # What a pull request builds was reviewed by nobody; a stranger's even less.
        known = (None if settings.ref.fork else settings.development, None)
    return tuple(
        access
        for access in known
        if access
        and access.user
        and access.password
        and (access.registry.is_docker_hub or access.registry.host in text)
    )


def _annotations(image: ImageRef, sources: git.Sources) -> dict[str, str]:
    """Return the labels of github.com/opencontainers/image-spec, annotations.md."""
    prefix = "org.opencontainers.image."
    labels = {
        "version": image.tag,
        "revision": sources.revision,
        "source": sources.url,
    }
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time()))
    return {CREATED: now, **{prefix + name: value for name, value in labels.items() if value}}


def _buildkit(settings: Settings, run: Run) -> BuildKit | None:
    """Return the BuildKit client, None for the engine's own builder; raises BuildError if BuildKit is needed but missing."""
    chosen = settings.values.builder
    values = settings.values
    attested = values.attest == "provenance"
    wanted = {"secrets": values.secrets, "platforms": values.platforms, "attest": attested}
    needs = [key for key, value in wanted.items() if value]
    if chosen == "engine":
        if needs:
            raise SettingsError(_("`{key}:` needs BuildKit, but `builder: engine` turns it off", key=needs[0]))
        return None
    found = BuildKit.find(run.console)
    if not found and (needs or chosen == "buildkit"):
        raise BuildError(
            _("BuildKit is needed, and the docker on PATH cannot use it"),
            _("install docker's buildx component, or set `builder: engine`"),
        )
    if found and attested and not found.attests:
        raise BuildError(
            _("`attest: provenance` needs docker's buildx component, which {program} lacks", program=found.program),
            _("install it, or remove `attest`"),
        )
    if found and len(settings.values.platforms) > 1 and not found.has_buildx:
        raise BuildError(
            _("several platforms need docker's buildx component, which {program} lacks", program=found.program),
            _("install it, or set only one platform"),
        )
    return found
