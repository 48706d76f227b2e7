"""Carry what was built from one node to another: what a promotion and a deploy need of the project, in one file."""

from __future__ import annotations

import json
import os
import stat
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from container_pipeline.clients import git
from container_pipeline.errors import StateError
from container_pipeline.execute import Run
from container_pipeline.i18n import _
from container_pipeline.keys import PROJECT_FILE
from container_pipeline.model import File
from container_pipeline.plan import composefile
from container_pipeline.project import state, uploads
from container_pipeline.remote import transfer
from container_pipeline.settings import Settings

#: Bytes of a repository that are carried for a program of ``env_from``.
_LARGEST = 50 << 20


def possible(settings: Settings, environments: Sequence[Settings]) -> bool:
    """Return whether all that promotion and deploys read can be carried.

    A program of ``env_from`` may read any file of the repository: it can be carried where git lists them.
    """
    if not _run_a_program(settings, *environments):
        return True
    paths = [settings.project / name for name in git.tracked(settings.project)]
    return bool(paths) and sum(path.stat().st_size for path in paths if path.is_file()) <= _LARGEST


def pack(run: Run, target: Path, environments: Sequence[Settings]) -> None:
    """Write to ``target`` the project's file, and the files that its keys name, as far as they are the project's own.

    With them go the state of its build, and with ``env_from`` all files that git tracks.
    """
    project, every = run.settings.project, (run.settings, *environments)
    tracked = git.tracked(project) if _run_a_program(*every) else []
    found = {file.path: file for one in every for file in _files(one, tracked)}
    if run.settings.tells_a_chat:
        text = json.dumps(git.commits(project, "", "HEAD"))
        found[git.LIST] = File(git.LIST, text.encode())
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(transfer.bundle(found.values()))


def _run_a_program(*settings: Settings) -> bool:
    return any(one.values.env_from for one in settings)


def _files(settings: Settings, tracked: Sequence[str]) -> Iterator[File]:
    values = settings.values
    for name in (PROJECT_FILE, values.compose_file, values.env_file, *values.verify, *state.FILES, *tracked):
        path = settings.project / name
        # A file from Jenkins' credentials is bound anew.
        if path.is_file() and settings.project in path.resolve().parents:
            mode = stat.S_IMODE(path.stat().st_mode)
            yield File(path.relative_to(settings.project).as_posix(), path.read_bytes(), mode)
    for unit in composefile.units(values.files):
        yield from uploads.collect(settings.project, unit)


def unpack(run: Run, source: Path) -> None:
    """Write what ``pack`` packed into the project's folder, which is empty."""
    project = run.settings.project
    try:
        with tarfile.open(source) as archive:
            for entry in archive:
                path = project / entry.name
                if project not in (path.parent.resolve(), *path.parent.resolve().parents) or not (
                    entry.isfile() or entry.isdir()
                ):
                    raise tarfile.TarError(entry.name)
                if entry.isdir():
                    path.mkdir(parents=True, exist_ok=True)
                else:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    content = archive.extractfile(entry)
                    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
                    with open(number, "wb") as file:
                        file.write(content.read() if content else b"")
                path.chmod(entry.mode)
    except (OSError, tarfile.TarError) as error:
        raise StateError(
            _("what was built cannot be carried to this node: {problem}", problem=error),
            _("start the build again"),
        ) from error
