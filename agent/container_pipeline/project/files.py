"""Reads files of a project, and writes them atomically."""

from __future__ import annotations

import codecs
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from container_pipeline.errors import SettingsError
from container_pipeline.i18n import _

#: Byte order marks; that of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_INSTALLED = {".git", "node_modules", ".venv", "venv", "__pycache__", ".tox", ".mypy_cache", ".pytest_cache"}
#: Bytes; files written by hand are shorter.
_LARGEST = 500_000


def read(path: Path, limit: int = 1_000_000) -> str | None:
    """Return a file's text, None if it is missing, not text or larger than ``limit`` bytes."""
    try:
        if path.stat().st_size > limit:
            return None
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None


def legible(path: Path, limit: int = 1_000_000) -> str | None:
    """Return a file's text in whatever encoding, U+FFFD for bytes that are none; None if it is missing or too large."""
    try:
        data = path.read_bytes() if path.stat().st_size <= limit else None
    except OSError:
        return None
    return None if data is None else data.decode(encoding(data) or "utf-8", "replace").lstrip("\ufeff")


def texts(root: Path, keep: Callable[[str, str], bool]) -> dict[str, str]:
    """Return path → text of the files below ``root`` that ``keep`` accepts, without installed packages.

    The text of a symbolic link is its target.
    """
    found: dict[str, str] = {}
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(set(folders) - _INSTALLED)
        for name in names:
            path = Path(folder, name)
            key = path.relative_to(root).as_posix()
            try:
                if path.is_symlink():
                    text = os.readlink(path)
                elif path.is_file() and path.stat().st_size <= _LARGEST:
                    data = path.read_bytes()
                    text = data.decode(encoding(data) or "utf-8", "replace")
                else:
                    continue
            except OSError:
                continue
            if keep(key, text):
                found[key] = text
    return found


def encoding(data: bytes) -> str:
    """Return the encoding of a text file: utf-8, utf-16 or utf-32 with byte order, else "".

    Without a mark, a file in UTF-16 has many zeros in every other byte; a single one is only odd.
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name
    zeros = data[1:200:2].count(0), data[:200:2].count(0)
    wide = max(zeros) * 8 > len(data[:200])
    name = "utf-8" if not wide else "utf-16-le" if zeros[0] > zeros[1] else "utf-16-be"
    try:
        data.decode(name)
    except UnicodeDecodeError:
        return ""
    return name


def replace(path: Path, text: str, mode: int = 0o644, *, follow: bool = False) -> None:
    """Write ``text``; an existing file keeps its mode, a new one gets ``mode``.

    A symbolic link at ``path`` is replaced itself; with ``follow``, its target is, in the same folder or below.
    Raises SettingsError for a target elsewhere. The temporary file has an unpredictable name.
    """
    target = path.parent.resolve() / path.name
    if follow and target.is_symlink():
        target = path.resolve()
        if path.parent.resolve() not in target.parents:
            raise SettingsError(
                _("{path} is a symbolic link out of its folder, so it is not written", path=path),
                _("put a regular file there"),
            )
    number, name = tempfile.mkstemp(prefix=f"{target.name[:100]}.", suffix=".tmp", dir=target.parent)
    try:
        with open(number, "wb") as file:
            file.write(text.encode("utf-8"))
            os.fchmod(number, _mode(target, mode))
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


def _mode(path: Path, default: int) -> int:
    try:
        found = path.lstat().st_mode
    except OSError:
        return default
    return stat.S_IMODE(found) if stat.S_ISREG(found) else default
