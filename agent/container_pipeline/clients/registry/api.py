"""A registry's API: its address, its login, and the meaning of its responses."""

from __future__ import annotations

import threading
from collections.abc import Container, Mapping
from typing import Callable
from urllib.parse import urlsplit, urlunsplit

from container_pipeline.clients.registry import sentences
from container_pipeline.clients.registry.auth import Authenticator
from container_pipeline.clients.registry.connection import Body, is_loopback, origin
from container_pipeline.clients.registry.transport import PASSING, Passing, Reply, Transport
from container_pipeline.model import RegistryAccess


class Api:
    """One registry's API; thread-safe. Every method raises RegistryError."""

    def __init__(self, access: RegistryAccess, tell: Callable[[str], None] = lambda _line: None) -> None:
        self.access = access
        self.transport = Transport(access, tell)
        self.auth = Authenticator(self.transport)
        self._address = ""
        self._lock = threading.Lock()

    def call(
        self,
        method: str,
        url: str,
        *,
        what: str,
        scopes: tuple[str, ...],
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        stream: bool = False,
        also: Container[int] = (),
    ) -> Reply:
        """Send a request and return a successful response, or one with a status in ``also``."""

        def once() -> Reply:
            secret = self.secret(url, scopes)
            answer = self._send(method, url, headers or {}, secret, body, stream)
            if answer.status == 401 and self.auth.renew(scopes, secret, challenge_of(answer)):
                answer = self._send(method, url, headers or {}, self.secret(url, scopes), body, stream)
            if answer.status not in also:
                self.judge(method, answer, what)
            return answer

        return self.transport.persist(once)

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], secret: Mapping[str, str], body: Body, stream: bool
    ) -> Reply:
        if method in ("GET", "HEAD"):
            return self.transport.follow(method, url, headers, secret, stream=stream)
        return self.transport.send(method, url, {**headers, **secret}, body)

    def judge(self, method: str, answer: Reply, what: str) -> None:
        """Raise an error for a failed response: Passing if a retry may help."""
        if answer.status == 401:
            raise sentences.denied(self.access, what)
        if answer.status in PASSING:
            raise Passing(sentences.answered(self.access, method, what, answer.status, answer.body), answer.retry_after)
        if not 200 <= answer.status < 300:
            raise sentences.answered(self.access, method, what, answer.status, answer.body)
        if answer.is_html and method != "DELETE":
            raise sentences.no_registry(self.access, urlsplit(answer.url).netloc, answer.status)

    def secret(self, url: str, scopes: tuple[str, ...]) -> dict[str, str]:
        return self.auth.headers(scopes) if origin(url) == origin(self.base()) else {}

    def own(self, url: str) -> str:
        """Return an address from the registry. A registry behind a TLS proxy may call itself http; it is not downgraded."""
        base, given = urlsplit(self.base()), urlsplit(url)
        if given.scheme == base.scheme or given.scheme == "https":
            return url
        if given.hostname == base.hostname:
            return urlunsplit(given._replace(scheme=base.scheme, netloc=base.netloc))
        raise sentences.redirected(self.access.registry.host, url)

    def base(self) -> str:
        """Return the registry's address after a first response, which also tells how to log in."""
        with self._lock:
            if not self._address:
                host = self.access.registry.api_host
                plain = self.access.insecure or is_loopback(origin(f"http://{host}").host)
                self._address = self.transport.persist(lambda: self._find(host, ("http", "https")[not plain :]))
        return self._address

    def _find(self, host: str, schemes: tuple[str, ...]) -> str:
        address = f"{schemes[0]}://{host}"
        answer = self.transport.follow("GET", address + "/v2/", {}, {})
        if answer.status == 400 and len(schemes) > 1:  # what TLS servers respond to plain http
            return self._find(host, schemes[1:])
        if answer.status == 401 and challenge_of(answer):
            self.auth.learn(challenge_of(answer))
        elif answer.status in PASSING or answer.status == 403:
            self.judge("GET", answer, "/v2/")
        elif answer.status != 200 or answer.is_html:
            raise sentences.no_registry(self.access, host, answer.status)
        return address


def challenge_of(answer: Reply) -> str:
    return ", ".join(answer.headers.get_all("WWW-Authenticate", []))[:8192]
