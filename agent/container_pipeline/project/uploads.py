"""Reads the files and folders of ``files:`` for a release."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from container_pipeline.errors import SettingsError
from container_pipeline.i18n import _
from container_pipeline.model import File

#: Most files in all entries of ``files:``; links to folders with links can multiply.
LIMIT = 100_000
#: Lists of names on a server have one name per line, in UTF-8.
_UNFIT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def collect(project: Path, unit: str) -> list[File]:
    """Return one entry of ``files`` and the folders above it, with their modes. Links are followed.

    Raises SettingsError for an entry that is missing, cannot be kept, is outside or contains no file.
    """
    root = project.resolve()
    found: list[File] = []
    _inside(root, root / unit)
    parts = unit.split("/")
    for depth in range(1, len(parts)):
        parent = root / "/".join(parts[:depth])
        found.append(File(parent.relative_to(root).as_posix(), None, _mode(parent, _inside(root, parent))))
    _add(root, root / unit, (), found)
    if all(file.data is None for file in found):
        # Uploading it would empty, on every deploy, the folder that the service writes to.
        raise SettingsError(
            _("files: {path} contains no file", path=project / unit),
            _("keep data in a named volume or an absolute path, not in `files:`"),
        )
    return found


def _add(root: Path, path: Path, above: tuple[Path, ...], found: list[File]) -> None:
    """Add ``path`` and everything below it; ``above`` are the real folders that contain it."""
    real = _inside(root, path)
    if len(found) >= LIMIT:
        raise SettingsError(_("files: there are more than {limit} files, {path} among them", path=path, limit=LIMIT))
    mode = _mode(path, real)
    name = path.relative_to(root).as_posix()
    if real.is_file():
        found.append(File(name, real.read_bytes(), mode))
        return
    if real in above:
        raise SettingsError(_("files: {path} is a link to a folder that contains it", path=path))
    found.append(File(name, None, mode))
    for entry in sorted(os.listdir(real)):
        _add(root, path / entry, (*above, real), found)


def _inside(root: Path, path: Path) -> Path:
    """Return the real path of ``path``; raises SettingsError if it is missing or outside."""
    if _UNFIT.search(str(path.relative_to(root))):
        raise SettingsError(
            _("files: the name of {path} has a control character or is not UTF-8", path=ascii(str(path))),
            _("rename it"),
        )
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError):
        if path.is_symlink():
            raise SettingsError(_("files: {path} is a broken link", path=path)) from None
        raise SettingsError(_("files: {path} does not exist", path=path)) from None
    if root not in real.parents:
        raise SettingsError(_("files: {path} leads out of the project", path=path))
    return real


def _mode(path: Path, real: Path) -> int:
    """Return the mode, which the server keeps; raises SettingsError for a mode that it cannot keep."""
    found = real.stat().st_mode
    mode = stat.S_IMODE(found)
    if stat.S_ISDIR(found):
        # New folders inherit set-group-ID, which does not affect permissions.
        mode, needed = mode & ~stat.S_ISGID, 0o700
    elif stat.S_ISREG(found):
        needed = 0o400
    else:
        raise SettingsError(_("files: {path} is a socket, pipe or device, not a file", path=path))
    if mode & needed != needed or mode & (stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX):
        raise SettingsError(
            _("files: {path} has mode {mode}, which a release cannot keep", path=path, mode=f"{mode:04o}"),
            _("let the owner read each file and read, write and enter each folder; remove set-ID and sticky bits"),
        )
    return mode
