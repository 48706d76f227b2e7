"""HTTP to one registry: redirects and retries."""

from __future__ import annotations

import http.client
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, TypeVar
from urllib.parse import urlsplit

from container_pipeline import outside
from container_pipeline.clients.registry import sentences
from container_pipeline.clients.registry.connection import Body, Connections, Exchange, TooLarge, origin
from container_pipeline.errors import RegistryError
from container_pipeline.i18n import _
from container_pipeline.model import RegistryAccess

if TYPE_CHECKING:
    from email.message import Message

T = TypeVar("T")

#: Number of tries, and seconds before the second one; each further wait is twice as long.
ATTEMPTS = 5
FIRST_WAIT = 0.5
#: Longest Retry-After that is waited for, in seconds; a longer one ends the run with an error.
LONGEST_WAIT = 120.0
#: Statuses to retry: RFC 6585 (429) and RFC 9110 (5xx). All others are final.
PASSING = frozenset({429, 500, 502, 503, 504})
#: Longest response that is read at once, in bytes; distribution itself refuses manifests above 4 MiB.
LARGEST_ANSWER = outside.LARGEST
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HOPS = 5


class Passing(Exception):  # noqa: N818 - not yet an error: it becomes one when patience ends
    """A failure that may pass; ``wait`` is the time that the registry asked for, in seconds."""

    def __init__(self, error: RegistryError, wait: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.wait = wait


@dataclass
class Reply:
    """An HTTP response. ``body`` is read, unless there is a ``stream``, which the caller reads and closes."""

    url: str
    status: int
    headers: Message
    body: bytes = b""
    stream: Exchange | None = None

    @property
    def is_html(self) -> bool:
        return bool(self.headers.get("Content-Type", "").lower().startswith("text/html"))

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait, from either form of Retry-After (RFC 9110, 10.2.3)."""
        return outside.seconds(self.headers.get("Retry-After", ""))


class Transport:
    """Sends requests to one registry; ``tell`` gets a line about each retry."""

    def __init__(self, access: RegistryAccess, tell: Callable[[str], None]) -> None:
        self.access = access
        self._tell = tell
        self._connections = Connections(access.registry.host)

    def persist(self, attempt: Callable[[], T]) -> T:
        """Return the result of ``attempt``; retry while it raises Passing, at most ATTEMPTS times in all."""
        for turn in range(ATTEMPTS):
            try:
                return attempt()
            except Passing as passing:
                error, wait = passing.error, passing.wait
            if turn + 1 < ATTEMPTS:
                self.pause(error, turn, wait)
        raise error

    def pause(self, error: RegistryError, turn: int, wait: float | None = None) -> None:
        """Wait before the next try: as long as the registry asks, else longer with each ``turn``."""
        if wait is None:
            wait = FIRST_WAIT * 2**turn * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, guards nothing
        if wait > LONGEST_WAIT:
            raise sentences.too_long(self.access.registry.host, wait)
        self._tell(_("{problem}; retrying in {seconds} s", problem=error.message, seconds=round(wait, 1)))
        time.sleep(wait)

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: Body = None, *, stream: bool = False
    ) -> Reply:
        """Send one request; return the response with any status. Raises Passing if the connection failed."""
        try:
            exchange = self._connections.ask(method, url, headers, body)
            response = exchange.response
            if stream and response.status in (200, 206):
                return Reply(url, response.status, response.headers, stream=exchange)
            data = exchange.read(LARGEST_ANSWER)
            exchange.close()
        except TooLarge:
            raise sentences.too_large(self.access, urlsplit(url).netloc, LARGEST_ANSWER) from None
        except (OSError, http.client.HTTPException) as error:
            failure = sentences.unreachable(self.access, urlsplit(url).netloc, error)
            if sentences.is_final(error):
                raise failure from error
            raise Passing(failure) from error
        except ValueError:  # an invalid port, host or header; the exception's text may contain a login
            raise sentences.no_address(self.access) from None
        return Reply(url, response.status, response.headers, data)

    def follow(
        self, method: str, url: str, headers: Mapping[str, str], secret: Mapping[str, str], *, stream: bool = False
    ) -> Reply:
        """Send a GET or HEAD and follow redirects; ``secret`` headers go to the first address's own origin alone."""
        home = origin(url)
        for _hop in range(_HOPS):
            own = secret if origin(url) == home else {}
            answer = self.send(method, url, {**headers, **own}, stream=stream)
            if answer.status not in _REDIRECTS or "Location" not in answer.headers:
                return answer
            url = sentences.joined(self.access, url, answer.headers["Location"])
            if urlsplit(url).scheme not in ("https", home.scheme):
                break
        raise sentences.redirected(self.access.registry.host, url)
