"""HTTP to one registry: connections, certificates, proxies, redirects, retries.

It stands on urllib3 rather than on requests: the same pools, streams without a copy, and half the time to import.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, TypeVar, Union
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3 import exceptions

from container_pipeline.clients.registry import sentences
from container_pipeline.errors import RegistryError
from container_pipeline.i18n import _
from container_pipeline.model import RegistryAccess

if TYPE_CHECKING:
    import ssl

T = TypeVar("T")
Body = Union[bytes, Iterable[bytes], None]

#: Times that something is tried in all, and seconds before the second try; each further wait is twice as long.
ATTEMPTS = 5
FIRST_WAIT = 0.5
#: Seconds of Retry-After that are waited out; a registry that wants longer ends the run with a sentence that says so.
LONGEST_WAIT = 120.0
#: Statuses that may pass: RFC 6585 (429) and RFC 9110 (5xx). All others are for good.
PASSING = frozenset({429, 500, 502, 503, 504})
#: Bytes of an answer that is read whole; distribution itself refuses manifests above 4 MiB.
LARGEST_ANSWER = 16 << 20
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HOPS = 5
_TIMEOUT = urllib3.Timeout(connect=30, read=120)
_CERTS = Path("/etc/docker/certs.d")


class Passing(Exception):  # noqa: N818 - not yet an error: it becomes one when patience ends
    """Something failed that may go well a moment later; ``wait`` is what the registry asked for, in seconds."""

    def __init__(self, error: RegistryError, wait: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.wait = wait


@dataclass
class Answer:
    """One HTTP answer. ``body`` is read already, unless ``stream`` is there, to be read and closed by the caller."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    stream: urllib3.BaseHTTPResponse | None = None

    @property
    def is_html(self) -> bool:
        return self.headers.get("Content-Type", "").lower().startswith("text/html")

    @property
    def retry_after(self) -> float | None:
        """Seconds that the answer asks to wait for, from either form of Retry-After (RFC 9110, 10.2.3)."""
        try:
            value = self.headers.get("Retry-After")
            return urllib3.Retry().parse_retry_after(value) if value else None
        except exceptions.InvalidHeader:
            return None


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port: what credentials are for."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or {"https": 443}.get(parts.scheme, 80)


def is_loopback(host: str) -> bool:
    return host.partition(":")[0] == "localhost" or host.startswith(("127.", "[::1]"))


class Transport:
    """Sends requests for one registry; ``tell`` gets a line about each retry."""

    def __init__(self, access: RegistryAccess, connections: int, tell: Callable[[str], None]) -> None:
        self.access = access
        self._connections = connections
        self._tell = tell
        self._pools: dict[tuple[str, str], urllib3.PoolManager] = {}
        self._proxied = any(name.lower().endswith("_proxy") for name in os.environ)

    def persist(self, attempt: Callable[[], T]) -> T:
        """Return what ``attempt`` returns; while it raises Passing, try again, at most ATTEMPTS times in all."""
        for turn in range(ATTEMPTS):
            try:
                return attempt()
            except Passing as passing:
                error, wait = passing.error, passing.wait
            if turn + 1 < ATTEMPTS:
                self.pause(error, turn, wait)
        raise error

    def pause(self, error: RegistryError, turn: int, wait: float | None = None) -> None:
        """Wait before the next try: as long as the registry asked, else longer each ``turn``."""
        if wait is None:
            wait = FIRST_WAIT * 2**turn * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, guards nothing
        if wait > LONGEST_WAIT:
            raise sentences.too_long(self.access.registry.host, wait)
        self._tell(_("{problem}; once more in {seconds} s", problem=error.message, seconds=round(wait, 1)))
        time.sleep(wait)

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: Body = None, *, stream: bool = False
    ) -> Answer:
        """Send one request; return the answer whatever its status. Raises Passing where the line failed."""
        try:
            raw = self._pool(url).urlopen(
                method,
                url,
                body=body,
                headers=dict(headers),
                redirect=False,
                retries=False,
                preload_content=False,
                timeout=_TIMEOUT,
            )
            if stream and raw.status in (200, 206):
                return Answer(url, raw.status, raw.headers, stream=raw)
            data = raw.read(LARGEST_ANSWER)
            raw.release_conn()
        except exceptions.HTTPError as error:
            failure = sentences.unreachable(self.access, urlsplit(url).netloc, error)
            if isinstance(error, (exceptions.SSLError, exceptions.ConnectTimeoutError, exceptions.LocationValueError)):
                raise failure from error
            raise Passing(failure) from error
        return Answer(url, raw.status, raw.headers, data)

    def follow(
        self, method: str, url: str, headers: Mapping[str, str], secret: Mapping[str, str], *, stream: bool = False
    ) -> Answer:
        """Send a GET or HEAD and follow redirects; ``secret`` headers go to the first address's own origin alone."""
        home = origin(url)
        for _hop in range(_HOPS):
            own = secret if origin(url) == home else {}
            answer = self.send(method, url, {**headers, **own}, stream=stream)
            if answer.status not in _REDIRECTS or "Location" not in answer.headers:
                return answer
            url = urljoin(url, answer.headers["Location"])
            if urlsplit(url).scheme not in ("https", home[0]):
                break
        raise sentences.redirected(self.access.registry.host, url)

    def _pool(self, url: str) -> urllib3.PoolManager:
        scheme, host, _port = origin(url)
        proxy = self._proxy(scheme, urlsplit(url).netloc.rpartition("@")[2], host)
        if (scheme, proxy) not in self._pools:
            options: dict[str, Any] = {"maxsize": self._connections}
            if scheme == "https":
                options["ssl_context"] = _tls(self.access.registry.host)
            self._pools[scheme, proxy] = _proxied(proxy, options) if proxy else urllib3.PoolManager(**options)
        return self._pools[scheme, proxy]

    def _proxy(self, scheme: str, netloc: str, host: str) -> str:
        """Return the proxy for an address as HTTP(S)_PROXY and NO_PROXY say, "" for none; loopback has none."""
        if not self._proxied or is_loopback(host) or host == "::1":
            return ""
        from urllib import request

        if request.proxy_bypass(netloc):
            return ""
        return request.getproxies().get(scheme, "")


def _proxied(proxy: str, options: dict[str, Any]) -> urllib3.ProxyManager:
    from urllib.parse import unquote

    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    headers = {}
    if parts.username:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers = urllib3.make_headers(proxy_basic_auth=login)
    address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return urllib3.ProxyManager(address, proxy_headers=headers, **options)


def _tls(host: str) -> ssl.SSLContext:
    """Return what decides whom to trust: the system's CAs or REQUESTS_CA_BUNDLE, and what Docker has for ``host``.

    Docker's folder holds CAs in ``*.crt`` and client certificates in pairs of ``*.cert`` and ``*.key``
    (docs.docker.com/engine/security/certificates).
    """
    import ssl

    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or _certifi(ssl)
    context = ssl.create_default_context(cafile=bundle)
    folder = _CERTS / host
    for path in sorted(folder.glob("*.crt")):
        context.load_verify_locations(path)
    for path in sorted(folder.glob("*.cert")):
        context.load_cert_chain(path, path.with_suffix(".key"))
    return context


def _certifi(ssl: Any) -> str | None:
    """Return certifi's bundle where the system has no CAs of its own, as in a slim container."""
    paths = ssl.get_default_verify_paths()
    if paths.cafile or (paths.capath and any(os.scandir(paths.capath))):
        return None
    import certifi

    return certifi.where()
