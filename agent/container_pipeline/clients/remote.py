"""What is sent to a server: a program put together from the files of ``server/``, and a tar of a release's files."""

from __future__ import annotations

import io
import pkgutil
import re
import shlex
import tarfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class File:
    """One file of a release; ``path`` is relative, with slashes; ``mode`` as chmod takes it."""

    path: str
    data: bytes
    mode: int = 0o644


def program(parts: Iterable[str], values: Mapping[str, object]) -> str:
    """Return one sh program: ``values`` as assignments, then the files ``parts`` of ``server/`` without their comments."""
    lines = [f"{name}={shlex.quote(_text(value))}" for name, value in values.items()]
    for part in parts:
        text = (pkgutil.get_data("container_pipeline", f"server/{part}.sh") or b"").decode()
        lines.append(re.sub(r"^[ \t]*(#.*)?\n", "", text, flags=re.MULTILINE))
    return "\n".join(lines)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def bundle(files: Iterable[File]) -> bytes:
    """Return a tar of ``files``, the folders that hold them included."""
    buffer = io.BytesIO()
    folders: set[str] = set()
    now = int(time.time())
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for file in files:
            parts = file.path.split("/")[:-1]
            for depth in range(1, len(parts) + 1):
                folder = "/".join(parts[:depth])
                if folder not in folders:
                    folders.add(folder)
                    entry = tarfile.TarInfo(folder)
                    entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o755, now
                    archive.addfile(entry)
            entry = tarfile.TarInfo(file.path)
            entry.size, entry.mode, entry.mtime = len(file.data), file.mode, now
            archive.addfile(entry, io.BytesIO(file.data))
    return buffer.getvalue()
