"""What a deploy would change in the files on a server, in a form that may be shown: values of .env are hidden."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from container_pipeline.i18n import _
from container_pipeline.model import File

#: Variables of .env that the release sets, which are no secrets.
_SHOWN = ("VERSION", "DOCKER_REGISTRY")


@dataclass(frozen=True)
class Live:
    """A file on a server; ``data`` is None where its content is that of the next release, or too large to be shown."""

    sum: str
    mode: int
    data: bytes | None = None


@dataclass(frozen=True)
class FileChange:
    """One file: ``kind`` is added, removed, changed or mode; ``lines`` as `diff -u` prints them, or none."""

    path: str
    kind: str
    lines: tuple[str, ...] = ()


def changes(live: Mapping[str, Live], wanted: Iterable[File], sums: Mapping[str, str]) -> list[FileChange]:
    """Return what becomes of each file that differs, by path. ``sums``: SHA-256 of each wanted file, in hex."""
    new = {file.path: file for file in wanted if file.data is not None}
    found = []
    for path in sorted({*live, *new}):
        here, there = new.get(path), live.get(path)
        if here is None:
            found.append(FileChange(path, "removed"))
        elif there is None:
            found.append(FileChange(path, "added", _lines(path, b"", here.data or b"")))
        elif there.sum != sums[path]:
            lines = _lines(path, there.data, here.data or b"") if there.data is not None else ()
            found.append(FileChange(path, "changed", lines))
        elif there.mode != here.mode & 0o7777:
            found.append(FileChange(path, "mode", (f"-{there.mode:o}", f"+{here.mode & 0o7777:o}")))
    return found


def title(change: FileChange) -> str:
    """Return the line above a change's lines."""
    return {
        "added": _("{path}: added", path=change.path),
        "removed": _("{path}: removed", path=change.path),
        "mode": _("{path}: another mode", path=change.path),
    }.get(change.kind) or _("{path}: changed", path=change.path)


def _lines(path: str, old: bytes, new: bytes) -> tuple[str, ...]:
    if b"\0" in old + new:
        return ()
    before, after = (data.decode(errors="replace").splitlines() for data in (old, new))
    if re.search(r"(^|/)\.env(\.[^/]*)?$|\.env$", path):
        return tuple(_variables(before, after))
    return tuple(difflib.unified_diff(before, after, lineterm="", n=2))[2:]


def _variables(before: list[str], after: list[str]) -> list[str]:
    """Return the lines of variables that differ, their values hidden."""
    found = []
    for sign, lines, others in (("-", before, after), ("+", after, before)):
        for line in lines:
            name, equals, _value = line.partition("=")
            if equals and not name.startswith("#") and line not in others:
                found.append((name, f"{sign}{line if name in _SHOWN else name + '=***'}"))
    return [line for _name, line in sorted(found, key=lambda one: one[0])]
