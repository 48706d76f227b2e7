"""One registry: tags, manifests, blobs. Each call is retried if that may help, else raises a one-sentence error."""

from __future__ import annotations

import re
import time
from collections.abc import Container, Iterable, Iterator
from typing import Any, Callable
from urllib.parse import urlencode, urlsplit, urlunsplit

from container_pipeline.clients.registry import sentences
from container_pipeline.clients.registry.api import Api, challenge_of
from container_pipeline.clients.registry.connection import Exchange
from container_pipeline.clients.registry.manifest import ACCEPT, OCI_INDEX, Descriptor, Manifest, media_type
from container_pipeline.clients.registry.transport import Passing, Reply
from container_pipeline.errors import RegistryError, SettingsError
from container_pipeline.i18n import _
from container_pipeline.model import Digest, Repository
from container_pipeline.outside import pick, read_json, short

#: Parallel requests. More than eight do not help on a local network; many small layers wait for round trips.
CONNECTIONS = 16
#: Bounds of a tag list: number of tags, and seconds for all pages.
TAGS = 100_000
LISTING = 300.0
#: Bound of the manifests that refer to one.
REFERRERS = 2000
#: Statuses with which a registry shows that it lacks the referrers API; 200 may be a web page.
_NO_REFERRERS = frozenset({200, 501, *range(400, 500)} - {429})
_WRITE = "pull,push"


class RegistryClient(Api):
    """Sends requests to one registry; thread-safe. ``tell`` gets a line about each retry.

    Every method raises RegistryError. Plain http is used only for loopback and for registries that the settings list as insecure.
    """

    def ping(self) -> None:
        """Check that the registry is reachable and accepts the login."""
        self.call("GET", self.base() + "/v2/", what="/v2/", scopes=())

    def path(self, repository: Repository) -> str:
        """Return the repository's full path below the host."""
        return self.access.registry.within(repository)

    def tags(self, repository: Repository) -> list[str]:
        """Return all tags in the registry's order; none if the repository does not exist."""
        found: list[str] = []
        for answer in self._pages(repository, "tags/list?n=1000", frozenset({404})):
            if answer.status == 404:
                return []
            try:
                tags = read_json(answer.body, dict).get("tags") or []
                found += [tag for tag in tags if re.fullmatch(r"\w[\w.-]{0,127}", tag, re.ASCII)]
            except (ValueError, TypeError) as error:
                raise sentences.no_registry(self.access, urlsplit(answer.url).netloc, answer.status) from error
            if len(found) > TAGS:
                raise sentences.endless(self.access, self.path(repository))
        return found

    def referrers(self, repository: Repository, digest: Digest) -> list[Digest] | None:
        """Return what refers to a manifest by the referrers API (distribution spec 1.1), None if the registry lacks it.

        Such a registry rejects the request, or sends a web page or another JSON. One that fails is asked again, as always.
        """
        found: dict[Digest, None] = {}
        for answer in self._pages(repository, f"referrers/{digest}", _NO_REFERRERS):
            entries = _entries(answer)
            if entries is None:
                return None
            try:
                found.update((Digest(entry["digest"]), None) for entry in entries)
            except (LookupError, TypeError, ValueError, SettingsError) as error:
                raise sentences.no_list(self.access, self._name(repository, str(digest)), str(error)) from error
            if len(found) > REFERRERS:
                raise sentences.endless(self.access, self._name(repository, str(digest)))
        return list(found)

    def _pages(self, repository: Repository, tail: str, also: Container[int]) -> Iterator[Reply]:
        """Yield the pages of a list, as `Link` headers chain them; ``also`` as for ``call``."""
        url = self._url(repository, tail)
        seen: set[str] = set()
        end = time.monotonic() + LISTING
        while True:
            if url in seen or time.monotonic() > end:
                raise sentences.endless(self.access, self.path(repository))
            seen.add(url)
            answer = self.call("GET", url, what=self.path(repository), scopes=self._scopes(repository), also=also)
            yield answer
            following = re.search(r'<([^<>]+)>\s*;\s*rel="?next"?', answer.headers.get("Link", "")[:8192])
            if not following:
                return
            url = self.own(sentences.joined(self.access, url, following[1]))

    def resolve(self, repository: Repository, reference: str) -> Digest | None:
        """Return the digest of a tag, or an existing digest itself; None if it does not exist."""
        answer = self._manifest("HEAD", repository, reference, also=(404, 405))
        if answer.status == 404:
            return None
        named = answer.headers.get("Docker-Content-Digest", "")
        if answer.status == 405 or not re.fullmatch("sha256:[0-9a-f]{64}", named):
            return self.manifest(repository, reference).digest
        return Digest(named)

    def manifest(self, repository: Repository, reference: str) -> Manifest:
        """Return the manifest of a tag or digest, byte for byte; verified for a digest."""
        return self._read(repository, reference, self._manifest("GET", repository, reference))

    def find_manifest(self, repository: Repository, reference: str) -> Manifest | None:
        """Return the manifest, None if it does not exist."""
        answer = self._manifest("GET", repository, reference, also=(404,))
        return None if answer.status == 404 else self._read(repository, reference, answer)

    def put_manifest(self, repository: Repository, reference: str, manifest: Manifest) -> Digest:
        """Store a manifest under a tag or digest, and check that it exists afterwards."""
        self._put(repository, reference, manifest)
        self.confirm(self._name(repository, reference), lambda: self.resolve(repository, reference) == manifest.digest)
        return manifest.digest

    def put_tag(self, repository: Repository, tag: str, manifest: Manifest, former: Digest | None) -> Digest:
        """Move a tag, which other runs may move too, away from ``former``; return the digest that it names afterwards."""
        named: list[Digest | None] = []

        def moved() -> bool:
            named.append(self.resolve(repository, tag))
            return named[-1] not in (None, former)

        self._put(repository, tag, manifest)
        self.confirm(self._name(repository, tag), moved)
        return named[-1] or manifest.digest

    def _put(self, repository: Repository, reference: str, manifest: Manifest) -> None:
        what, scopes = self._name(repository, reference), self._scopes(repository, _WRITE)
        headers = {"Content-Type": manifest.media_type}
        url = self._url(repository, f"manifests/{reference}")
        answer = self.call(
            "PUT", url, what=what, scopes=scopes, headers=headers, body=manifest.body, also=sentences.REFUSALS
        )
        if answer.status in sentences.REFUSALS:
            attested = manifest.is_attested
            error = sentences.refused(self.access, what, answer.status, answer.body, attested=attested)
            raise error or sentences.answered(self.access, "PUT", what, answer.status, answer.body)

    def delete(self, repository: Repository, digest: Digest) -> None:
        """Delete a manifest and every tag of it; a missing one counts as deleted."""
        url, what = self._url(repository, f"manifests/{digest}"), self._name(repository, str(digest))
        scopes = self._scopes(repository, "pull,push,delete")
        answer = self.call("DELETE", url, what=what, scopes=scopes, also=(404, 405))
        if answer.status == 405:
            raise RegistryError(
                _("registry {host} does not allow deletes", host=self.access.registry.host),
                _("enable deletes there; for distribution: REGISTRY_STORAGE_DELETE_ENABLED=true"),
            )

    def config(self, repository: Repository, descriptor: Descriptor) -> dict[str, Any]:
        """Return an image's configuration (OCI image spec, ``config.md``), empty if invalid."""
        url, what = self._url(repository, f"blobs/{descriptor.digest}"), self._name(repository, str(descriptor.digest))
        answer = self.call("GET", url, what=what, scopes=self._scopes(repository))
        try:
            return read_json(answer.body, dict)
        except ValueError:
            return {}

    def has_blob(self, repository: Repository, digest: Digest) -> bool:
        url, what = self._url(repository, f"blobs/{digest}"), self._name(repository, str(digest))
        return self.call("HEAD", url, what=what, scopes=self._scopes(repository), also=(404,)).status != 404

    def open_blob(self, repository: Repository, digest: Digest, offset: int = 0) -> tuple[Exchange, int]:
        """Open a blob; return the stream, which the caller closes, and the offset at which it begins."""
        url, what = self._url(repository, f"blobs/{digest}"), self._name(repository, str(digest))
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        answer = self.call("GET", url, what=what, scopes=self._scopes(repository), headers=headers, stream=True)
        if answer.stream is None:
            raise sentences.no_registry(self.access, urlsplit(answer.url).netloc, answer.status)
        begins = (
            re.match(r"bytes ([0-9]{1,18})-", answer.headers.get("Content-Range", "")) if answer.status == 206 else None
        )
        return answer.stream, int(begins[1]) if begins else 0

    def mount(self, repository: Repository, digest: Digest, source: str) -> bool:
        """Mount a blob from another repository of this registry; False if the registry declines."""
        query = urlencode({"mount": str(digest), "from": source})
        scopes = (*self._scopes(repository, _WRITE), f"repository:{source}:pull")
        url, what = self._url(repository, f"blobs/uploads/?{query}"), self._name(repository, str(digest))
        answer = self.call("POST", url, what=what, scopes=scopes, also=(401, 403, 404, 405))
        return answer.status == 201

    def upload(
        self, repository: Repository, blob: Descriptor, read: Callable[[], Iterable[bytes | memoryview]]
    ) -> None:
        """Upload a blob in one request; after a broken connection, start again with a new ``read()``.

        ``read`` must raise before its last piece if the bytes do not match the digest.
        """
        what, scopes = self._name(repository, str(blob.digest)), self._scopes(repository, _WRITE)
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)}
        renewed = False

        def once() -> None:
            nonlocal renewed
            url = self._url(repository, "blobs/uploads/")
            begun = self.call("POST", url, what=what, scopes=scopes)
            url = self._location(begun, blob.digest)
            secret = self.secret(url, scopes)
            answer = self.transport.send("PUT", url, {**headers, **secret}, read())
            if answer.status == 401 and not renewed and self.auth.renew(scopes, secret, challenge_of(answer)):
                renewed = True
                raise Passing(sentences.denied(self.access, what), 0)
            self.judge("PUT", answer, what)

        self.transport.persist(once)
        self.confirm(what, lambda: self.has_blob(repository, blob.digest))

    def try_push(self, repository: Repository) -> None:
        """Begin an upload and cancel it, to check that this login may push; the registry keeps nothing."""
        scopes = self._scopes(repository, _WRITE)
        what = self.path(repository)
        begun = self.call("POST", self._url(repository, "blobs/uploads/"), what=what, scopes=scopes)
        url = self.own(sentences.joined(self.access, begun.url, begun.headers.get("Location", "")))
        # A registry that cannot cancel (404, 405) forgets an upload without bytes by itself.
        self.call("DELETE", url, what=what, scopes=scopes, also=(404, 405))

    def confirm(self, what: str, there: Callable[[], bool]) -> None:
        """Check that stored content can be read; a registry with slow storage gets a moment."""
        for turn in range(3):
            if there():
                return
            self.transport.pause(sentences.lost(self.access, what), turn)
        if not there():
            raise sentences.lost(self.access, what)

    def _manifest(self, method: str, repository: Repository, reference: str, also: tuple[int, ...] = ()) -> Reply:
        url = self._url(repository, f"manifests/{reference}")
        what, scopes = self._name(repository, reference), self._scopes(repository)
        return self.call(method, url, what=what, scopes=scopes, headers={"Accept": ACCEPT}, also=also)

    def _read(self, repository: Repository, reference: str, answer: Reply) -> Manifest:
        manifest = Manifest(answer.body, media_type(answer.headers.get("Content-Type", "").partition(";")[0].strip()))
        expected = reference if ":" in reference else answer.headers.get("Docker-Content-Digest") or manifest.digest
        if str(expected) != str(manifest.digest):
            raise sentences.corrupt(self.access, f"{self.path(repository)}@{short(expected, 80)}", str(manifest.digest))
        if manifest.is_typed:
            return manifest
        return Manifest(answer.body, media_type(pick(manifest.document, "mediaType", str)) or manifest.media_type)

    def _scopes(self, repository: Repository, actions: str = "pull") -> tuple[str, ...]:
        return (f"repository:{self.path(repository)}:{actions}",)

    def _name(self, repository: Repository, reference: str) -> str:
        return self.path(repository) + ("@" if ":" in reference else ":") + reference

    def _url(self, repository: Repository, tail: str) -> str:
        return f"{self.base()}/v2/{self.path(repository)}/{tail}"

    def _location(self, answer: Reply, digest: Digest) -> str:
        """Return the next address of an upload: Location, relative or absolute, with its query."""
        parts = urlsplit(self.own(sentences.joined(self.access, answer.url, answer.headers.get("Location", ""))))
        query = "&".join(part for part in (parts.query, urlencode({"digest": str(digest)})) if part)
        return urlunsplit(parts._replace(query=query, fragment=""))


def _entries(answer: Reply) -> Any:
    """Return the entries of a page of referrers, not yet checked; None if it is something else, such as a web page."""
    if answer.status != 200 or answer.is_html:
        return None
    is_index = answer.headers.get("Content-Type", "").partition(";")[0].strip() == OCI_INDEX
    try:
        entries = read_json(answer.body, dict).get("manifests") or []
    except ValueError:
        return [None] if is_index else None
    return entries if entries or is_index else None
