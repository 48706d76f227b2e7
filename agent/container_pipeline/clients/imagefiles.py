"""What an image in the engine holds: its config, and its files as a container sees them."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from container_pipeline.clients.engine import Engine, engine_errors
from container_pipeline.i18n import _

#: What differs between two builds of the same: caches, logs, compiled Python, what the engine mounts.
_VOLATILE = re.compile(
    r"(?:tmp|proc|sys|dev|run|var/(?:log|cache|lib/apt|tmp))(?:/|$)|.*(?:__pycache__|\.pyc$|\.docker_build_)|etc/(?:hosts|hostname|resolv\.conf|mtab|ld\.so\.cache)$|\.dockerenv$"
)


def config(engine: Engine, image: str) -> dict[str, Any]:
    with engine_errors(_("the engine did not answer for {image}", image=image)):
        return cast("dict[str, Any]", engine.client.inspect_image(image)["Config"])


def listing(engine: Engine, image: str) -> dict[str, tuple[object, ...]]:
    """Return path → kind, mode, owner, size and link of each file; the container made for it is removed."""
    with engine_errors(_("{image} cannot be read", image=image)):
        container = engine.client.create_container(image, command=["-"])["Id"]
        try:
            stream = _Stream(engine.client.export(container))
            with tarfile.open(fileobj=cast("io.BufferedReader", stream), mode="r|") as archive:
                return {
                    entry.name: (entry.type, entry.mode, entry.uid, entry.gid, entry.size, entry.linkname)
                    for entry in archive
                    if not _VOLATILE.match(entry.name)
                }
        finally:
            engine.client.remove_container(container)


def remove(engine: Engine, images: Sequence[str]) -> None:
    with engine_errors(_("the images of the comparison could not be removed")):
        for image in images:
            engine.client.remove_image(image, force=True)


class _Stream(io.RawIOBase):
    """The chunks of an answer as a file that is read once."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks: Iterator[bytes] = iter(chunks)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts, length = [self._rest], len(self._rest)
        while size < 0 or length < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            parts.append(chunk)
            length += len(chunk)
        data = b"".join(parts)
        cut = len(data) if size < 0 else size
        self._rest = data[cut:]
        return data[:cut]
