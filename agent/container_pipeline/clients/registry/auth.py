"""Authentication: Basic, or Bearer tokens from the registry's token server (distribution spec, "token authentication")."""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Sequence
from urllib.parse import urlencode

from container_pipeline import outside
from container_pipeline.clients.registry import sentences
from container_pipeline.clients.registry.connection import is_loopback, origin
from container_pipeline.clients.registry.transport import PASSING, Passing, Transport
from container_pipeline.errors import RegistryError
from container_pipeline.i18n import _
from container_pipeline.model import Secret

_SCHEME = re.compile(r"(?:^|,)\s*(Basic|Bearer)(?:\s+|$)", re.IGNORECASE)
_PARAMETER = re.compile(r'(?<![a-z_-])([a-z_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))', re.IGNORECASE)
#: Lifetime of a token in seconds: the spec's default, the maximum, and the margin before its end.
_LIFETIME = 60.0
_LONGEST_LIFE = 86400.0
_MARGIN = 5.0


def challenges(header: str) -> dict[str, dict[str, str]]:
    """Return the supported challenges of a WWW-Authenticate header: scheme → parameters (RFC 9110, 11.6.1)."""
    found = list(_SCHEME.finditer(header))
    ends = [match.start() for match in found[1:]] + [len(header)]
    return {
        match[1].lower(): {
            name.lower(): re.sub(r"\\(.)", r"\1", quoted) or plain
            for name, quoted, plain in _PARAMETER.findall(header[match.end() : end])
        }
        for match, end in zip(found, ends)
    }


class Authenticator:
    """Adds the Authorization header to requests after a challenge; tokens are cached until they expire."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._access = transport.access
        self._basic = False
        self._bearer: dict[str, str] = {}
        self._tokens: dict[tuple[str, ...], tuple[Secret, float]] = {}
        self._lock = threading.Lock()

    def learn(self, header: str) -> None:
        """Record the registry's challenge; raises RegistryError if it is not supported."""
        known = challenges(header)
        self._bearer = known.get("bearer", {})
        self._basic = "basic" in known and not self._bearer
        if not self._basic and not self._bearer.get("realm"):
            raise RegistryError(
                _("registry {host} asks for a login that is neither Basic nor Bearer", host=self._access.registry.host)
            )

    def headers(self, scopes: Sequence[str]) -> dict[str, str]:
        """Return the headers for a request with ``scopes``, such as ``repository:team/web:pull``."""
        if self._basic:
            return self._login() if self._access.user else {}
        if not self._bearer:
            return {}
        key = tuple(scopes)
        with self._lock:
            token, until = self._tokens.get(key, (Secret(""), 0.0))
            if time.monotonic() >= until:
                token, until = self._tokens[key] = self._transport.persist(lambda: self._fetch(key))
        return {"Authorization": f"Bearer {token.reveal()}"}

    def renew(self, scopes: Sequence[str], used: dict[str, str], challenge: str) -> bool:
        """Handle a 401 for a request with the headers ``used``; return False if a retry would not help."""
        with self._lock:
            if not used and challenge:
                self.learn(challenge)
                return bool(self._bearer or self._access.user)
            token = self._tokens.get(tuple(scopes))
            if token and used.get("Authorization") == f"Bearer {token[0].reveal()}":
                del self._tokens[tuple(scopes)]
            return bool(self._bearer)

    def _login(self) -> dict[str, str]:
        # A password from the environment may be in any encoding: use its bytes.
        login = f"{self._access.user}:{self._access.password.reveal()}".encode("utf-8", "surrogateescape")
        return {"Authorization": "Basic " + base64.b64encode(login).decode()}

    def _fetch(self, scopes: Sequence[str]) -> tuple[Secret, float]:
        """Request a token; return it and its expiry as a time of ``time.monotonic``."""
        realm, host = self._bearer["realm"], self._access.registry.host
        if not self._may_know(realm):
            raise sentences.redirected(host, realm)
        query = [("service", self._bearer["service"])] if "service" in self._bearer else []
        query += [("scope", scope) for scope in scopes]
        url = realm + ("&" if "?" in realm else "?") + urlencode(query)
        start = time.monotonic()
        answer = self._transport.follow("GET", url, {}, self._login() if self._access.user else {})
        if answer.status in PASSING:
            raise Passing(self._failed(realm, answer.status), answer.retry_after)
        if answer.status in (401, 403):
            raise sentences.denied(self._access, " ".join(scopes) or "/v2/")
        try:
            data = outside.read_json(answer.body, dict)
        except ValueError as error:
            raise self._failed(realm, answer.status) from error
        token = outside.pick(data, "token", str) or outside.pick(data, "access_token", str)
        if not re.fullmatch("[!-~]{1,65536}", token):
            # Missing, or invalid in a header; it is not shown.
            raise self._failed(realm, answer.status)
        stated = outside.pick(data, "expires_in", int) or outside.pick(data, "expires_in", float)
        lifetime = min(stated, _LONGEST_LIFE) if stated > 0 else _LIFETIME
        return Secret(token), start + max(lifetime - _MARGIN, lifetime / 2)

    def _may_know(self, realm: str) -> bool:
        """Return whether a login may be sent there: by https, or by plain http to loopback or an insecure registry."""
        try:
            home = origin(realm)
        except ValueError:
            return False
        return home.scheme == "https" or (home.scheme == "http" and (is_loopback(home.host) or self._access.insecure))

    def _failed(self, realm: str, status: int) -> RegistryError:
        return RegistryError(
            _(
                "the token server {realm} returned {status}",
                realm=outside.short(realm.partition("?")[0]),
                status=status,
            ),
            _("registry {host} sends its clients there", host=self._access.registry.host),
        )
