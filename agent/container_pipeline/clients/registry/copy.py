"""Copies an image between registries: only missing parts, in parallel, streamed, verified on the way, tags last."""

from __future__ import annotations

import hashlib
import http.client
import threading
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass

from container_pipeline.clients.registry import sentences
from container_pipeline.clients.registry.client import CONNECTIONS, RegistryClient
from container_pipeline.clients.registry.manifest import Descriptor, Manifest
from container_pipeline.clients.registry.transport import ATTEMPTS
from container_pipeline.console import Task
from container_pipeline.errors import RegistryError
from container_pipeline.i18n import _
from container_pipeline.model import Digest, Repository
from container_pipeline.parallel import in_parallel

#: Bytes per read; multiplied by the number of transfers, this is the memory of a copy.
CHUNK = 1 << 20
#: Parallel layers above this size in bytes: large ones wait for throughput, small ones for round trips.
LARGE_AT_ONCE = 6
LARGE = 4_000_000
#: Bounds: depth of nested indexes, and number of manifests.
_DEPTH = 4
_MANIFESTS = 2000


@dataclass(frozen=True)
class Place:
    """A repository of one registry."""

    registry: RegistryClient
    repository: Repository

    @property
    def name(self) -> str:
        return f"{self.registry.access.registry}/{self.repository}"


@dataclass(frozen=True)
class Survey:
    """The parts to copy: manifests, children first and the image's own last, and missing blobs."""

    manifests: tuple[Manifest, ...]
    missing: tuple[Descriptor, ...]

    @property
    def image(self) -> Manifest:
        return self.manifests[-1]

    @property
    def size(self) -> int:
        """Size of the missing blobs in bytes."""
        return sum(blob.size for blob in self.missing)


def survey(source: Place, target: Place, image: Manifest) -> Survey:
    """Return the parts of the image that the target lacks; changes nothing."""
    manifests = with_children(source, image, {})
    return Survey(manifests, missing(target, manifests))


def missing(target: Place, manifests: Iterable[Manifest]) -> tuple[Descriptor, ...]:
    """Return the blobs of ``manifests`` that the target lacks, the largest first."""
    blobs = list({blob.digest: blob for manifest in manifests for blob in manifest.blobs}.values())
    found = in_parallel(lambda blob: target.registry.has_blob(target.repository, blob.digest), blobs, CONNECTIONS)
    absent = [blob for blob, present in zip(blobs, found) if not present]
    return tuple(sorted(absent, key=lambda blob: -blob.size))


def with_children(
    source: Place, image: Manifest, known: dict[Digest, Manifest], depth: int = 0
) -> tuple[Manifest, ...]:
    """Return the manifests of ``image``, each once, children first; ``known`` were read before."""
    if image.is_schema1:
        raise RegistryError(
            _("manifest {digest} is of Docker's old schema 1, which cannot be promoted", digest=image.digest),
            _("build and push the image again"),
        )
    unread = list(dict.fromkeys(child.digest for child in image.children if child.digest not in known))
    if (image.children and depth >= _DEPTH) or len(known) + len(unread) > _MANIFESTS:
        raise RegistryError(
            _("manifest {digest} nests indexes too deeply", digest=image.digest),
            _("build and push the image again"),
        )
    read = in_parallel(lambda digest: source.registry.manifest(source.repository, str(digest)), unread, CONNECTIONS)
    known.update(zip(unread, read))
    # A manifest that was seen before is already in the list.
    below = [manifest for child in read for manifest in with_children(source, child, known, depth + 1)]
    return (*below, image)


def copy(source: Place, target: Place, found: Survey, task: Task) -> None:
    """Copy the missing blobs and the children's manifests, which the image's own manifest requires."""
    stop = threading.Event()
    large = threading.Semaphore(LARGE_AT_ONCE)

    def move(blob: Descriptor) -> None:
        if _same_host(source, target) and target.registry.mount(
            target.repository, blob.digest, source.registry.path(source.repository)
        ):
            task.advance(blob.size)
            return
        with large if blob.size > LARGE else nullcontext():
            target.registry.upload(target.repository, blob, lambda: _pieces(source, blob, task, stop))

    try:
        in_parallel(move, found.missing, CONNECTIONS)
    finally:
        stop.set()
    for child in found.manifests[:-1]:
        target.registry.put_manifest(target.repository, str(child.digest), child)


def _same_host(source: Place, target: Place) -> bool:
    return source.registry.access.registry.host == target.registry.access.registry.host


def _pieces(source: Place, blob: Descriptor, task: Task, stop: threading.Event) -> Iterator[memoryview]:
    """Yield a blob's bytes; continue with Range after a broken connection; yield the last piece only if the digest is right."""
    registry, done, cuts, mark = source.registry, 0, 0, 0
    seen = hashlib.sha256()
    what = f"{registry.path(source.repository)}@{blob.digest}"
    try:
        while done < blob.size:
            for piece in _read(source, blob, done):
                if stop.is_set():
                    raise RegistryError(_("the copy was stopped"))
                seen.update(piece)
                done += len(piece)
                if done >= blob.size and (done > blob.size or f"sha256:{seen.hexdigest()}" != str(blob.digest)):
                    raise sentences.corrupt(registry.access, what, f"sha256:{seen.hexdigest()}")
                yield piece
                task.advance(len(piece))
                mark += len(piece)
            if done < blob.size:
                cuts = 1 if mark >= CHUNK else cuts + 1
                mark = 0
                _bear(registry, sentences.cut(registry.access, what, done, blob.size), cuts)
    except BaseException:
        task.advance(-done)
        raise


def _bear(registry: RegistryClient, error: RegistryError, cuts: int) -> None:
    """Wait after a break; raise after ATTEMPTS breaks in a row with almost no progress."""
    if cuts >= ATTEMPTS:
        raise error
    registry.transport.pause(error, cuts - 1)


def _read(source: Place, blob: Descriptor, offset: int) -> Iterator[memoryview]:
    """Yield bytes from ``offset`` to the end or a break; each piece is valid until the next."""
    stream, begins = source.registry.open_blob(source.repository, blob.digest, offset)
    buffer = memoryview(bytearray(min(CHUNK, blob.size)))
    try:
        while True:
            # A registry without range support starts at the beginning.
            wanted = min(len(buffer), offset - begins) if begins < offset else len(buffer)
            count = stream.read_into(buffer[:wanted])
            if not count:
                return
            begins += count
            if begins > offset:
                offset = begins
                yield buffer[:count]
    except (OSError, http.client.HTTPException):
        return
    finally:
        stream.close()
