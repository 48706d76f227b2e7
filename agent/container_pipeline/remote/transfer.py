"""Builds what is sent to a server: a program from the files of ``remote/programs/``, and a tar of a release's files."""

from __future__ import annotations

import io
import pkgutil
import re
import shlex
import time
from collections.abc import Iterable, Mapping
from functools import cache

from container_pipeline.model import File


def program(parts: Iterable[str], values: Mapping[str, object]) -> str:
    """Return one sh program: ``values`` as assignments, then the files ``parts`` of ``remote/programs/`` without their comments."""
    lines = [f"{name}={shlex.quote(_text(value))}" for name, value in values.items()]
    return "\n".join([*lines, *map(_part, parts)])


@cache
def _part(name: str) -> str:
    text = (pkgutil.get_data("container_pipeline", f"remote/programs/{name}.sh") or b"").decode()
    return re.sub(r"^[ \t]*(#.*)?\n", "", text, flags=re.MULTILINE)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def bundle(files: Iterable[File]) -> bytes:
    """Return a tar of ``files``, each folder once and before its content."""
    import tarfile

    buffer = io.BytesIO()
    folders: set[str] = set()
    now = int(time.time())
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for file in files:
            entry = tarfile.TarInfo(file.path)
            entry.mode, entry.mtime = file.mode, now
            if file.data is not None:
                entry.size = len(file.data)
                archive.addfile(entry, io.BytesIO(file.data))
            elif file.path not in folders:
                folders.add(file.path)
                entry.type = tarfile.DIRTYPE
                archive.addfile(entry)
    return buffer.getvalue()
