"""Connections to a registry and to its redirect targets: kept open, with the right CAs and proxy.

They use the standard library: importing urllib3 alone takes as long as a whole promotion without changes.
"""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Union
from urllib.parse import unquote, urlsplit

from container_pipeline.clients import timed
from container_pipeline.i18n import _

if TYPE_CHECKING:
    import ssl

Body = Union[bytes, Iterable[Union[bytes, memoryview]], None]

#: Limits in seconds: to connect, and without a byte.
CONNECT = 30
SILENCE = 300
#: Limits in seconds: for a response that is read at once, and for one piece of a streamed response.
WHOLE = 60
_CERTS = Path("/etc/docker/certs.d")


class Origin(NamedTuple):
    """Scheme, host and port: the scope of credentials and of kept connections."""

    scheme: str
    host: str
    port: int


def origin(url: str) -> Origin:
    """Return the origin of an address; raises ValueError if it is invalid."""
    parts = urlsplit(url)
    return Origin(parts.scheme, (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80))


def is_loopback(host: str) -> bool:
    """Return whether a host, without port, is certainly this machine; a name that only begins like loopback is not."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class TooLarge(Exception):  # noqa: N818 - the caller makes an error of it, with the name of the registry
    """A response exceeds its limit."""


class _Response(timed.Response):
    def patience(self, method: str) -> tuple[float, float]:
        return (WHOLE if method in ("GET", "HEAD") else SILENCE), SILENCE  # storing may take longer


class Exchange:
    """An unread response; ``close`` returns the connection to the pool, or closes it if bytes are left."""

    def __init__(self, pool: Connections, home: Origin, connection: http.client.HTTPConnection) -> None:
        self._pool, self._home, self._connection = pool, home, connection
        connection.response_class = _Response
        self.response = connection.getresponse()
        length = self.response.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdecimal()):
            raise http.client.HTTPException(_("its Content-Length is not a number"))
        self._timed: timed.Timed = self.response.timed  # type: ignore[attr-defined]

    def read(self, limit: int) -> bytes:
        """Return the whole response; raises HTTPException if it is cut off, TooLarge beyond ``limit`` bytes."""
        self._timed.until = time.monotonic() + WHOLE
        data = self.response.read(limit + 1)
        if len(data) > limit:
            self._connection.close()
            raise TooLarge
        if self.response.length:
            raise http.client.IncompleteRead(data, self.response.length)
        return data

    def read_into(self, buffer: memoryview) -> int:
        """Fill ``buffer``, or less at the end or a break of the response; return the number of bytes.

        Raises OSError or HTTPException if it breaks before the first byte.
        """
        done = 0
        self._timed.until = time.monotonic() + SILENCE
        while done < len(buffer):
            # In pieces: a broken connection loses only the bytes of one piece.
            try:
                count = self.response.readinto(buffer[done : done + timed.PIECE])
            except (OSError, http.client.HTTPException):
                if done:
                    break
                raise
            if not count:
                break
            done += count
        return done

    def close(self) -> None:
        if self.response.isclosed() and not self.response.length and self._connection.sock is not None:
            self._pool.keep(self._home, self._connection)
        else:
            self._connection.close()


class Connections:
    """A connection pool without a limit; its users decide how many connections exist."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._kept: dict[Origin, list[http.client.HTTPConnection]] = {}
        self._context: ssl.SSLContext | None = None
        self._proxied = any(name.lower().endswith("_proxy") for name in os.environ)

    def ask(self, method: str, url: str, headers: Mapping[str, str], body: Body) -> Exchange:
        """Send a request and return its response; raises OSError or http.client.HTTPException if the connection fails."""
        home = origin(url)
        try:
            connection = self._kept.get(home, []).pop()
        except IndexError:
            return self._ask(home, self._open(home, url), method, url, headers, body)
        try:
            return self._ask(home, connection, method, url, headers, body)
        except (ConnectionError, http.client.BadStatusLine):
            if body is not None and not isinstance(body, bytes):
                raise
            # The other side had closed the idle connection, which is allowed; the request was not processed.
            return self._ask(home, self._open(home, url), method, url, headers, body)

    def keep(self, home: Origin, connection: http.client.HTTPConnection) -> None:
        self._kept.setdefault(home, []).append(connection)

    def _ask(
        self,
        home: Origin,
        connection: http.client.HTTPConnection,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Body,
    ) -> Exchange:
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        sent = dict(headers)
        proxy = self._proxy(home, url) if self._proxied else ""
        if proxy and home.scheme == "http":
            target, sent = f"http://{parts.netloc}{target}", {**sent, **_proxy_login(proxy)}
        try:
            connection.sock.settimeout(SILENCE)
            try:
                connection.request(method, target, body, sent)
            except (BrokenPipeError, ConnectionResetError):
                if body is None:
                    raise
                # It may have responded before reading everything, as with 401 and 413.
            return Exchange(self, home, connection)
        except BaseException:
            connection.close()
            raise

    def _open(self, home: Origin, url: str) -> http.client.HTTPConnection:
        proxy = self._proxy(home, url) if self._proxied else ""
        address = (home.host, home.port)
        if proxy:
            address = _proxy_address(proxy)
        if home.scheme == "http":
            connection = http.client.HTTPConnection(*address, timeout=CONNECT)
        else:
            self._context = self._context or _trust(self._host)
            connection = http.client.HTTPSConnection(*address, timeout=CONNECT, context=self._context)
            if proxy:
                connection.set_tunnel(home.host, home.port, _proxy_login(proxy))
        connection.connect()
        return connection

    def _proxy(self, home: Origin, url: str) -> str:
        """Return the proxy for an address from HTTP(S)_PROXY and NO_PROXY, "" for none; loopback has none."""
        from urllib import request

        if is_loopback(home.host) or request.proxy_bypass(urlsplit(url).netloc):
            return ""
        proxy = request.getproxies().get(home.scheme, "")
        return proxy if "://" in proxy or not proxy else f"http://{proxy}"


def _proxy_address(proxy: str) -> tuple[str, int]:
    try:
        parts = urlsplit(proxy)
        return parts.hostname or "", parts.port or 80
    except ValueError:
        # The exception's text would show a password that contains a slash.
        raise OSError(_("the address in http_proxy or https_proxy cannot be read")) from None


def _proxy_login(proxy: str) -> dict[str, str]:
    import base64

    parts = urlsplit(proxy)
    if not parts.username:
        return {}
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Proxy-Authorization": "Basic " + base64.b64encode(login.encode()).decode()}


def _trust(host: str) -> ssl.SSLContext:
    """Return the TLS context: the system's CAs or REQUESTS_CA_BUNDLE, and Docker's certificates for ``host``.

    Docker's folder has CAs in ``*.crt`` and client certificates in pairs of ``*.cert`` and ``*.key``
    (docs.docker.com/engine/security/certificates).
    """
    import ssl

    context = ssl.create_default_context(cafile=_bundle() or _carried_bundle())
    for path in authorities(host):
        context.load_verify_locations(path)
    for path in sorted((_CERTS / host).glob("*.cert")):
        context.load_cert_chain(path, path.with_suffix(".key"))
    return context


def authorities(host: str) -> list[Path]:
    """Return the files of CAs that Docker trusts for ``host``, besides the system's."""
    return sorted((_CERTS / host).glob("*.crt"))


def whole_bundle(host: str) -> bytes:
    """Return all CAs to trust for ``host`` in one file, for another program; empty where the system's are all."""
    import ssl

    chosen, own = _bundle(), authorities(host)
    system = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    files = [Path(path) for path in (chosen or system,) if path] + own
    return b"\n".join(path.read_bytes() for path in files if path.is_file()) if chosen or own else b""


def _bundle() -> str:
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or ""


def _carried_bundle() -> str | None:
    """Return certifi's file if the system has no CAs, as in a slim container."""
    import ssl

    paths = ssl.get_default_verify_paths()
    if paths.cafile or (paths.capath and any(os.scandir(paths.capath))):
        return None
    import certifi

    return certifi.where()
