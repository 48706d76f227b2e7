"""One registry: tags, manifests, blobs. Each call is retried where that may help, and says what failed where it does not."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Mapping
from typing import Any, Callable
from urllib.parse import urlencode, urljoin, urlsplit, urlunsplit

from container_pipeline.clients.registry import sentences
from container_pipeline.clients.registry.auth import Authenticator
from container_pipeline.clients.registry.connection import Body, Exchange, is_loopback, origin
from container_pipeline.clients.registry.manifest import ACCEPT, Descriptor, Manifest
from container_pipeline.clients.registry.transport import PASSING, Answer, Passing, Transport
from container_pipeline.errors import RegistryError
from container_pipeline.i18n import _
from container_pipeline.model import Digest, RegistryAccess, Repository

#: Requests at a time; more than eight bring nothing on a local network, and many small layers wait for round trips.
CONNECTIONS = 16
#: Where the API of a registry is that is called by another name.
_ALIASES = {"docker.io": "registry-1.docker.io"}
_WRITE = "pull,push"


class Registry:
    """Talks to one registry; safe to use from many threads. ``tell`` gets a line about each retry.

    Every method raises RegistryError. Plain http is spoken to loopback and to what the settings name as insecure only.
    """

    def __init__(self, access: RegistryAccess, tell: Callable[[str], None] = lambda _line: None) -> None:
        self.access = access
        self.transport = Transport(access, tell)
        self._auth = Authenticator(self.transport)
        self._address = ""
        self._lock = threading.Lock()

    def ping(self) -> None:
        """Make sure that there is a registry, and that it takes the login."""
        self._call("GET", self._base() + "/v2/", what="/v2/", scopes=())

    def path(self, repository: Repository) -> str:
        """Return the repository's whole path below the host."""
        prefix = self.access.registry.path
        return f"{prefix}/{repository}" if prefix else str(repository)

    def tags(self, repository: Repository) -> list[str]:
        """Return all tags, in the registry's order; none where there is no such repository."""
        url = self._url(repository, "tags/list?n=1000")
        found: list[str] = []
        for _page in range(10_000):
            answer = self._call("GET", url, what=self.path(repository), scopes=self._scopes(repository), also=(404,))
            if answer.status == 404:
                return []
            try:
                found += json.loads(answer.body).get("tags") or []
            except (ValueError, AttributeError, TypeError) as error:
                raise sentences.no_registry(self.access, urlsplit(url).netloc, answer.status) from error
            following = re.search(r'<([^>]+)>\s*;\s*rel="?next"?', answer.headers.get("Link", ""))
            if not following:
                break
            url = self._own(urljoin(url, following[1]))
        return found

    def resolve(self, repository: Repository, reference: str) -> Digest | None:
        """Return the digest that a tag names (or that a digest is there), None where it is not there."""
        answer = self._manifest("HEAD", repository, reference, also=(404, 405))
        if answer.status == 404:
            return None
        named = answer.headers.get("Docker-Content-Digest", "")
        if answer.status == 405 or not re.fullmatch("sha256:[0-9a-f]{64}", named):
            return self.manifest(repository, reference).digest
        return Digest(named)

    def manifest(self, repository: Repository, reference: str) -> Manifest:
        """Return the manifest under a tag or digest, byte for byte; by digest it is verified."""
        return self._read(repository, reference, self._manifest("GET", repository, reference))

    def find_manifest(self, repository: Repository, reference: str) -> Manifest | None:
        """Return the manifest, None where it is not there."""
        answer = self._manifest("GET", repository, reference, also=(404,))
        return None if answer.status == 404 else self._read(repository, reference, answer)

    def put_manifest(self, repository: Repository, reference: str, manifest: Manifest) -> Digest:
        """Store a manifest under a tag or digest, and read back that it is there."""
        what = self._name(repository, reference)
        headers = {"Content-Type": manifest.media_type}
        url = self._url(repository, f"manifests/{reference}")
        self._call("PUT", url, what=what, scopes=self._scopes(repository, _WRITE), headers=headers, body=manifest.body)
        self._confirm(what, lambda: self.resolve(repository, reference) == manifest.digest)
        return manifest.digest

    def delete(self, repository: Repository, digest: Digest) -> None:
        """Delete a manifest, and with it every tag that names it; what is not there is gone already."""
        url, what = self._url(repository, f"manifests/{digest}"), self._name(repository, str(digest))
        scopes = self._scopes(repository, "pull,push,delete")
        answer = self._call("DELETE", url, what=what, scopes=scopes, also=(404, 405))
        if answer.status == 405:
            raise RegistryError(
                _("registry {host} does not allow to delete", host=self.access.registry.host),
                _("switch it on there: distribution by REGISTRY_STORAGE_DELETE_ENABLED=true"),
            )

    def config(self, repository: Repository, descriptor: Descriptor) -> dict[str, Any]:
        """Return an image's configuration (OCI image spec, ``config.md``), empty where it is none."""
        url, what = self._url(repository, f"blobs/{descriptor.digest}"), self._name(repository, str(descriptor.digest))
        answer = self._call("GET", url, what=what, scopes=self._scopes(repository))
        try:
            document = json.loads(answer.body)
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}

    def has_blob(self, repository: Repository, digest: Digest) -> bool:
        url, what = self._url(repository, f"blobs/{digest}"), self._name(repository, str(digest))
        return self._call("HEAD", url, what=what, scopes=self._scopes(repository), also=(404,)).status != 404

    def open_blob(self, repository: Repository, digest: Digest, offset: int = 0) -> tuple[Exchange, int]:
        """Begin to read a blob; return the stream, to be closed by the caller, and the byte at which it begins."""
        url, what = self._url(repository, f"blobs/{digest}"), self._name(repository, str(digest))
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        answer = self._call("GET", url, what=what, scopes=self._scopes(repository), headers=headers, stream=True)
        if answer.stream is None:
            raise sentences.no_registry(self.access, urlsplit(answer.url).netloc, answer.status)
        begins = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", "")) if answer.status == 206 else None
        return answer.stream, int(begins[1]) if begins else 0

    def mount(self, repository: Repository, digest: Digest, source: str) -> bool:
        """Ask for a blob of another repository of this registry; False where the registry would not."""
        query = urlencode({"mount": str(digest), "from": source})
        scopes = (*self._scopes(repository, _WRITE), f"repository:{source}:pull")
        url, what = self._url(repository, f"blobs/uploads/?{query}"), self._name(repository, str(digest))
        answer = self._call("POST", url, what=what, scopes=scopes, also=(401, 403, 404, 405))
        return answer.status == 201

    def upload(
        self, repository: Repository, blob: Descriptor, read: Callable[[], Iterable[bytes | memoryview]]
    ) -> None:
        """Send a blob in one request; where the line breaks, begin again with what ``read`` gives anew.

        ``read`` must end with an exception, before its last piece, where the bytes are not those of the digest.
        """
        what, scopes = self._name(repository, str(blob.digest)), self._scopes(repository, _WRITE)
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)}
        renewed = False

        def once() -> None:
            nonlocal renewed
            url = self._url(repository, "blobs/uploads/")
            begun = self._call("POST", url, what=what, scopes=scopes)
            url = self._location(begun, blob.digest)
            secret = self._secret(url, scopes)
            answer = self.transport.send("PUT", url, {**headers, **secret}, read())
            if answer.status == 401 and not renewed and self._auth.renew(scopes, secret, _challenge(answer)):
                renewed = True
                raise Passing(sentences.denied(self.access, what), 0)
            self._judge("PUT", answer, what)

        self.transport.persist(once)
        self._confirm(what, lambda: self.has_blob(repository, blob.digest))

    def try_push(self, repository: Repository) -> None:
        """Begin an upload and cancel it: the registry lets this login push, and keeps nothing of it."""
        scopes = self._scopes(repository, _WRITE)
        what = self.path(repository)
        begun = self._call("POST", self._url(repository, "blobs/uploads/"), what=what, scopes=scopes)
        url = self._own(urljoin(begun.url, begun.headers.get("Location", "")))
        # A registry that cannot cancel (404, 405) forgets an upload without bytes by itself.
        self._call("DELETE", url, what=what, scopes=scopes, also=(404, 405))

    def _confirm(self, what: str, there: Callable[[], bool]) -> None:
        """Make sure that what was stored can be read; a registry with a slow store gets a moment for it."""
        for turn in range(3):
            if there():
                return
            self.transport.pause(sentences.lost(self.access, what), turn)
        if not there():
            raise sentences.lost(self.access, what)

    def _manifest(self, method: str, repository: Repository, reference: str, also: tuple[int, ...] = ()) -> Answer:
        url = self._url(repository, f"manifests/{reference}")
        what, scopes = self._name(repository, reference), self._scopes(repository)
        return self._call(method, url, what=what, scopes=scopes, headers={"Accept": ACCEPT}, also=also)

    def _read(self, repository: Repository, reference: str, answer: Answer) -> Manifest:
        manifest = Manifest(answer.body, answer.headers.get("Content-Type", "").partition(";")[0].strip())
        expected = reference if ":" in reference else answer.headers.get("Docker-Content-Digest") or manifest.digest
        if str(expected) != str(manifest.digest):
            raise sentences.corrupt(self.access, f"{self.path(repository)}@{expected}", str(manifest.digest))
        stated = str(manifest.document.get("mediaType") or "")
        return Manifest(answer.body, stated) if stated and not manifest.is_typed else manifest

    def _call(
        self,
        method: str,
        url: str,
        *,
        what: str,
        scopes: tuple[str, ...],
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        stream: bool = False,
        also: tuple[int, ...] = (),
    ) -> Answer:
        """Ask the registry and return a good answer, or one of the statuses that are ``also`` expected."""

        def once() -> Answer:
            secret = self._secret(url, scopes)
            answer = self._send(method, url, headers or {}, secret, body, stream)
            if answer.status == 401 and self._auth.renew(scopes, secret, _challenge(answer)):
                answer = self._send(method, url, headers or {}, self._secret(url, scopes), body, stream)
            if answer.status not in also:
                self._judge(method, answer, what)
            return answer

        return self.transport.persist(once)

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], secret: Mapping[str, str], body: Body, stream: bool
    ) -> Answer:
        if method in ("GET", "HEAD"):
            return self.transport.follow(method, url, headers, secret, stream=stream)
        return self.transport.send(method, url, {**headers, **secret}, body)

    def _judge(self, method: str, answer: Answer, what: str) -> None:
        """Raise where the answer is not a good one: Passing where it may become one."""
        if answer.status == 401:
            raise sentences.denied(self.access, what)
        if answer.status in PASSING:
            raise Passing(sentences.answered(self.access, method, what, answer.status, answer.body), answer.retry_after)
        if not 200 <= answer.status < 300:
            raise sentences.answered(self.access, method, what, answer.status, answer.body)
        if answer.is_html and method != "DELETE":
            raise sentences.no_registry(self.access, urlsplit(answer.url).netloc, answer.status)

    def _secret(self, url: str, scopes: tuple[str, ...]) -> dict[str, str]:
        return self._auth.headers(scopes) if origin(url) == origin(self._base()) else {}

    def _scopes(self, repository: Repository, actions: str = "pull") -> tuple[str, ...]:
        return (f"repository:{self.path(repository)}:{actions}",)

    def _name(self, repository: Repository, reference: str) -> str:
        return self.path(repository) + ("@" if ":" in reference else ":") + reference

    def _url(self, repository: Repository, tail: str) -> str:
        return f"{self._base()}/v2/{self.path(repository)}/{tail}"

    def _location(self, answer: Answer, digest: Digest) -> str:
        """Return where an upload goes on: Location as given, relative or absolute, its query kept."""
        parts = urlsplit(self._own(urljoin(answer.url, answer.headers.get("Location", ""))))
        query = "&".join(part for part in (parts.query, urlencode({"digest": str(digest)})) if part)
        return urlunsplit(parts._replace(query=query, fragment=""))

    def _own(self, url: str) -> str:
        """Return an address that the registry gave; one behind a TLS proxy may call itself http, and is not taken so."""
        base, given = urlsplit(self._base()), urlsplit(url)
        if given.scheme == base.scheme or given.scheme == "https":
            return url
        if given.hostname == base.hostname:
            return urlunsplit(given._replace(scheme=base.scheme, netloc=base.netloc))
        raise sentences.redirected(self.access.registry.host, url)

    def _base(self) -> str:
        """Return the registry's address once it has answered; learn how it wants to be asked."""
        with self._lock:
            if not self._address:
                host = _ALIASES.get(self.access.registry.host, self.access.registry.host)
                plain = self.access.insecure or is_loopback(host)
                self._address = self.transport.persist(lambda: self._find(host, ("http", "https")[not plain :]))
        return self._address

    def _find(self, host: str, schemes: tuple[str, ...]) -> str:
        address = f"{schemes[0]}://{host}"
        answer = self.transport.follow("GET", address + "/v2/", {}, {})
        if answer.status == 400 and len(schemes) > 1:  # what servers with TLS say to plain http
            return self._find(host, schemes[1:])
        if answer.status == 401 and _challenge(answer):
            self._auth.learn(_challenge(answer))
        elif answer.status in PASSING or answer.status == 403:
            self._judge("GET", answer, "/v2/")
        elif answer.status != 200 or answer.is_html:
            raise sentences.no_registry(self.access, host, answer.status)
        return address


def _challenge(answer: Answer) -> str:
    return ", ".join(answer.headers.get_all("WWW-Authenticate", []))
