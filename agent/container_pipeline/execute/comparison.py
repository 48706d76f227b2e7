"""Builds a project with its docker.sh and with this product, in two copies, and compares the images."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from container_pipeline.clients import imagefiles, script
from container_pipeline.clients.engine import Engine
from container_pipeline.errors import BuildError
from container_pipeline.execute import Run
from container_pipeline.i18n import _
from container_pipeline.project import state
from container_pipeline.result import Result
from container_pipeline.settings import load

#: Compared parts of an image's config; labels that a build adds itself are ignored.
_CONFIG = (
    "Cmd", "Entrypoint", "Env", "ExposedPorts", "Healthcheck", "StopSignal", "User", "Volumes", "WorkingDir",
)  # fmt: skip
_SHOWN = 10


def compare(run: Run, name: str, before: Sequence[str], build: Callable[[Run], None]) -> list[str]:
    """Return a sentence for each difference between the images of the script ``name`` and of ``build``.

    Raises BuildError if one of the two cannot build.
    """
    engine = Engine(run.console)
    images: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            theirs = _by_script(run, name, Path(folder, "theirs"), images)
            ours = _by_us(run, before, build, Path(folder, "ours"), images)
            differences = _states(theirs, ours) + _configs(engine, images) + _contents(engine, images)
        finally:
            imagefiles.remove(engine, images)
    return differences


def _by_script(run: Run, name: str, copy: Path, images: list[str]) -> state.Built:
    shutil.copytree(run.settings.project, copy, symlinks=True)
    run.console.line(_("build with {name}", name=name))
    code, lines = script.run(["bash", name, "build"], copy)
    built = state.read(copy)
    if code or built is None:
        raise BuildError(
            _("{name} cannot build this project", name=name),
            _("repair it first, or run without --verify"),
            details=lines,
        )
    images.append(_image(run, built))
    return built


def _by_us(run: Run, before: Sequence[str], build: Callable[[Run], None], copy: Path, images: list[str]) -> state.Built:
    shutil.copytree(run.settings.project, copy, symlinks=True)
    for command in before:
        code, lines = script.run(["sh", "-c", command], copy)
        if code:
            raise BuildError(_("{command} failed", command=command), details=lines)
    run.console.line(_("build with container-pipeline"))
    ours = Run(load(copy, {}), run.console, Result("build"))
    build(ours)
    built = state.read(copy)
    assert built is not None  # noqa: S101 - a build that returns has written it
    images.append(_image(ours, built))
    return built


def _image(run: Run, built: state.Built) -> str:
    return f"{run.settings.access('development').registry}/{built.image}:{built.version}"


def _states(theirs: state.Built, ours: state.Built) -> list[str]:
    found = []
    if theirs.image != ours.image:
        found.append(_("image name: {theirs} before, {ours} here", theirs=theirs.image, ours=ours.image))
    if re.sub(r"\d", "0", theirs.version) != re.sub(r"\d", "0", ours.version):
        found.append(_("version: {theirs} before, {ours} here", theirs=theirs.version, ours=ours.version))
    return found


def _configs(engine: Engine, images: Sequence[str]) -> list[str]:
    theirs, ours = (imagefiles.config(engine, image) for image in images)
    found = []
    for key in _CONFIG:
        if (theirs.get(key) or None) != (ours.get(key) or None):
            found.append(_("{key}: {theirs} before, {ours} here", key=key, theirs=theirs.get(key), ours=ours.get(key)))
    missing = dict(theirs.get("Labels") or {}).items() - dict(ours.get("Labels") or {}).items()
    return found + [_("label {name} is missing here", name=name) for name, _value in sorted(missing)]


def _contents(engine: Engine, images: Sequence[str]) -> list[str]:
    """Compare all files by kind, mode, owner and size; of many differences, list only the first."""
    theirs, ours = (imagefiles.listing(engine, image) for image in images)
    names = sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))
    found = [_("file {name} differs", name=name) for name in names[:_SHOWN]]
    return [*found, _("and {number} more", number=len(names) - _SHOWN)] if len(names) > _SHOWN else found
