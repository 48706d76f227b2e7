"""Reads HTTP responses of requests within bounds of bytes and time."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import PoolManager

from container_pipeline.clients import timed
from container_pipeline.i18n import _


class UnboundedError(requests.RequestException):
    """A response that exceeds its bounds, or is compressed although that was not requested."""


class Adapter(HTTPAdapter):
    """Raises UnboundedError for a response whose head does not arrive within ``seconds``."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        super().__init__()

    def init_poolmanager(self, *given: Any, **named: Any) -> None:
        super().init_poolmanager(*given, **named)  # type: ignore[no-untyped-call]
        self._watch(self.poolmanager)

    def proxy_manager_for(self, *given: Any, **named: Any) -> Any:
        manager = super().proxy_manager_for(*given, **named)  # type: ignore[no-untyped-call]
        self._watch(manager)
        return manager

    def _watch(self, manager: Any) -> None:
        seconds = self._seconds

        class Response(timed.Response):
            def patience(self, _method: str) -> tuple[float, float]:
                return seconds, seconds

        classes: dict[str, Any] = dict(PoolManager().pool_classes_by_scheme)
        for scheme, pool in classes.items():
            connection = type("Connection", (pool.ConnectionCls,), {"response_class": Response})
            classes[scheme] = type("Pool", (pool,), {"ConnectionCls": connection})
        manager.pool_classes_by_scheme = classes

    def send(self, *given: Any, **named: Any) -> requests.Response:
        end = time.monotonic() + self._seconds
        try:
            return super().send(*given, **named)
        except (requests.RequestException, OSError) as error:
            if time.monotonic() < end:
                raise
            raise UnboundedError(_("its response does not end")) from error


def read(answer: requests.Response, largest: int, whole: float) -> None:
    """Read a response of at most ``largest`` bytes within ``whole`` seconds; raises UnboundedError.

    An occasional byte resets the timeouts of requests, so the connection is closed when the time is up.
    """
    problem = ""
    if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
        problem = _("its response is compressed, which was not requested")
    end, data = time.monotonic() + whole, bytearray()
    clock = threading.Timer(whole, _cut, [answer])
    clock.daemon = True
    clock.start()
    head: Any = getattr(answer.raw, "_fp", None)
    if isinstance(head, timed.Response):
        head.timed.until = end  # the body has its own limit
    try:
        for piece in () if problem else answer.iter_content(1 << 16):
            data += piece
            if len(data) > largest or time.monotonic() > end:
                problem = _("its response does not end")
                break
    except (requests.RequestException, OSError, ValueError, AttributeError):
        if time.monotonic() < end:
            raise
        problem = _("its response does not end")
    finally:
        clock.cancel()
    if not problem and time.monotonic() > end:  # without a length, the cut looks like the end of the response
        problem = _("its response does not end")
    if problem:
        answer.close()
        data.clear()
    answer.encoding = answer.encoding or "utf-8"  # else requests guesses it, which is slow
    answer._content = bytes(data)
    answer._content_consumed = True  # type: ignore[attr-defined]
    if problem:
        raise UnboundedError(problem)


def _cut(answer: requests.Response) -> None:
    raw: Any = answer.raw
    with contextlib.suppress(OSError, AttributeError):
        # Not the connection's own socket: it drops that if the connection is not kept alive.
        raw._fp.fp.raw._sock.shutdown(socket.SHUT_RDWR)
