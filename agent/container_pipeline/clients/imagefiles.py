"""Reads an image's files from the engine, as a container sees them."""

from __future__ import annotations

import io
import re
import tarfile
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from container_pipeline.clients.engine import Engine, engine_errors, identity
from container_pipeline.i18n import _
from container_pipeline.outside import LARGEST, MOST, Unreadable, pick

#: Paths that differ between two builds of the same sources: caches, logs, compiled Python, mounts of the engine.
_VOLATILE = re.compile(
    r"(?:tmp|proc|sys|dev|run|var/(?:log|cache|lib/apt|tmp))(?:/|$)|.*(?:__pycache__|\.pyc$|\.docker_build_)|etc/(?:hosts|hostname|resolv\.conf|mtab|ld\.so\.cache)$|\.dockerenv$"
)

#: Entry types that carry a long name or PAX records for the next entry, and all types that are read.
_BESIDE = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
_KINDS = {*tarfile.SUPPORTED_TYPES, *_BESIDE} - {tarfile.GNUTYPE_SPARSE}
#: Bounds: bytes of an extra header, bytes of one file, and seconds in all.
_HEADER = 1 << 20
_FILE = 1 << 40
_WHOLE = 3600


def config(engine: Engine, image: str) -> dict[str, Any]:
    with engine_errors(_("the engine did not respond for {image}", image=image)):
        return pick(engine.client.inspect_image(image), "Config", dict)


def listing(engine: Engine, image: str) -> dict[str, tuple[object, ...]]:
    """Return path → kind, mode, owner, size and link of each file; uses a temporary container."""
    with engine_errors(_("{image} cannot be read", image=image)):
        container = identity(engine.client.create_container(image, command=["-"]))
        try:
            return entries(engine.client.export(container))
        finally:
            engine.client.remove_container(container)


def entries(chunks: Iterable[bytes]) -> dict[str, tuple[object, ...]]:
    """Return path → kind, mode, owner, size and link of each file in a tar; raises Unreadable, also beyond the bounds."""
    found: dict[str, tuple[object, ...]] = {}
    letters = 0
    try:
        stream = cast("io.BufferedReader", _Stream(chunks))
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Entry) as archive:
            for entry in archive:
                archive.members.clear()  # type: ignore[attr-defined] # it would keep them all
                letters += len(entry.name) + len(entry.linkname)
                if len(found) >= MOST or letters > LARGEST * 2:
                    raise Unreadable(_("it has more than {count} values", count=MOST))
                if not _VOLATILE.match(entry.name):
                    found[entry.name] = (entry.type, entry.mode, entry.uid, entry.gid, entry.size, entry.linkname)
    except (tarfile.TarError, EOFError, OverflowError, LookupError, TypeError) as error:
        raise Unreadable(str(error) or type(error).__name__) from error
    except ValueError as error:
        raise error if isinstance(error, Unreadable) else Unreadable(str(error)) from error
    return found


class _Entry(tarfile.TarInfo):
    """A tar header with bounded size: tarfile reads long names and PAX records whole."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Entry:
        entry = super().frombuf(buf, encoding, errors)
        if entry.type not in _KINDS:
            raise Unreadable(_("it holds an entry of an unknown kind"))
        if not 0 <= entry.size <= (_HEADER if entry.type in _BESIDE else _FILE):
            raise Unreadable(_("a number in it is too large"))
        return entry

    def _proc_gnusparse_10(self, *_given: object) -> None:
        """Refuse a sparse map inside a file's data, which has no bound."""
        raise Unreadable(_("it holds an entry of an unknown kind"))


def remove(engine: Engine, images: Sequence[str]) -> None:
    with engine_errors(_("the images of the comparison could not be removed")):
        for image in images:
            engine.client.remove_image(image, force=True)


class _Stream(io.RawIOBase):
    """The chunks of a response as a file that is read once."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._end = time.monotonic() + _WHOLE
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
            if time.monotonic() > self._end:
                raise Unreadable(_("its response does not end"))
            parts.append(chunk)
            length += len(chunk)
        data = b"".join(parts)
        cut = len(data) if size < 0 else size
        self._rest = data[cut:]
        return data[:cut]
