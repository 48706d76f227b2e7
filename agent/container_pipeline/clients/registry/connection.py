"""Connections to a registry and to where it redirects: kept open, trusted by the right CAs, through the right proxy.

They are the standard library's: urllib3 alone takes as long to import as a promotion of nothing new takes in all.
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

#: Seconds until a connection must stand, and seconds without a byte after which it is given up.
CONNECT = 30
SILENCE = 300
#: Seconds in which an answer that is read whole must be there, and a piece of one that is read as it comes.
WHOLE = 60
_CERTS = Path("/etc/docker/certs.d")


class Origin(NamedTuple):
    """What credentials are for, and connections are kept by."""

    scheme: str
    host: str
    port: int


def origin(url: str) -> Origin:
    """Return where an address leads to; raises ValueError where it is none."""
    parts = urlsplit(url)
    return Origin(parts.scheme, (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80))


def is_loopback(host: str) -> bool:
    """Return whether a host, without a port, is this machine for certain: a name that only begins like it is not."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class TooLarge(Exception):  # noqa: N818 - the caller makes an error of it, with the name of the registry
    """An answer that is read whole has no end in sight."""


class _Response(timed.Response):
    def patience(self, method: str) -> tuple[float, float]:
        return (WHOLE if method in ("GET", "HEAD") else SILENCE), SILENCE  # what stores something may take longer


class Exchange:
    """One request's answer, still to be read; ``close`` gives the connection back, or ends it where bytes are left."""

    def __init__(self, pool: Connections, home: Origin, connection: http.client.HTTPConnection) -> None:
        self._pool, self._home, self._connection = pool, home, connection
        connection.response_class = _Response
        self.response = connection.getresponse()
        length = self.response.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdecimal()):
            raise http.client.HTTPException(_("its Content-Length is not a number"))
        self._timed: timed.Timed = self.response.timed  # type: ignore[attr-defined]

    def read(self, limit: int) -> bytes:
        """Return the whole answer; raises HTTPException where it is cut short, TooLarge beyond ``limit`` bytes."""
        self._timed.until = time.monotonic() + WHOLE
        data = self.response.read(limit + 1)
        if len(data) > limit:
            self._connection.close()
            raise TooLarge
        if self.response.length:
            raise http.client.IncompleteRead(data, self.response.length)
        return data

    def read_into(self, buffer: memoryview) -> int:
        """Fill ``buffer``, less where the answer ends or breaks off; return the number of bytes.

        Raises OSError or HTTPException where it breaks off before the first byte.
        """
        done = 0
        self._timed.until = time.monotonic() + SILENCE
        while done < len(buffer):
            # In pieces: where the line breaks within one, only that one's bytes are lost.
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
    """A pool without a limit of its own: whoever asks in parallel decides how many there are."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._kept: dict[Origin, list[http.client.HTTPConnection]] = {}
        self._context: ssl.SSLContext | None = None
        self._proxied = any(name.lower().endswith("_proxy") for name in os.environ)

    def ask(self, method: str, url: str, headers: Mapping[str, str], body: Body) -> Exchange:
        """Send a request and return its answer; raises OSError or http.client.HTTPException where the line fails."""
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
            # The other side had closed it meanwhile, as it may: nothing was done yet.
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
                # It may have answered before it read everything: 401 and 413 come so.
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
        """Return the proxy for an address as HTTP(S)_PROXY and NO_PROXY say, "" for none; loopback has none."""
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
        # Its own text would show a password with a slash in it.
        raise OSError(_("the address in http_proxy or https_proxy cannot be read")) from None


def _proxy_login(proxy: str) -> dict[str, str]:
    import base64

    parts = urlsplit(proxy)
    if not parts.username:
        return {}
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Proxy-Authorization": "Basic " + base64.b64encode(login.encode()).decode()}


def _trust(host: str) -> ssl.SSLContext:
    """Return whom to trust: the system's CAs or REQUESTS_CA_BUNDLE, and what Docker has for ``host``.

    Docker's folder holds CAs in ``*.crt`` and client certificates in pairs of ``*.cert`` and ``*.key``
    (docs.docker.com/engine/security/certificates).
    """
    import ssl

    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    context = ssl.create_default_context(cafile=bundle or _carried_bundle())
    folder = _CERTS / host
    for path in sorted(folder.glob("*.crt")):
        context.load_verify_locations(path)
    for path in sorted(folder.glob("*.cert")):
        context.load_cert_chain(path, path.with_suffix(".key"))
    return context


def _carried_bundle() -> str | None:
    """Return certifi's file where the system has no CAs of its own, as in a slim container."""
    import ssl

    paths = ssl.get_default_verify_paths()
    if paths.cafile or (paths.capath and any(os.scandir(paths.capath))):
        return None
    import certifi

    return certifi.where()
