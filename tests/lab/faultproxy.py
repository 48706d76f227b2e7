"""A reverse proxy that misbehaves on purpose, in front of a real registry (or any HTTP server).

    proxy = fault_proxy(registry.address, Fault("PUT", "/manifests/", status=503, times=2))
    proxy.address            the address for the client
    proxy.requests           [("GET", "/v2/", 401), …] with the response's status; 0: cut or never answered
    proxy.faults.append(…)   adds a fault at any time

The first fault that matches a request's method and path and is not used up applies to it; other requests pass.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import re
import socket
import struct
import termios
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lab.place import free_port

_PIECE = 64 * 1024
_OF_ONE_HOP = {"connection", "keep-alive", "transfer-encoding", "date", "server"}


@dataclass
class Fault:
    """A fault for requests with `method` ("" for all) and a path in which the regex `path` matches.

    skip: number of requests that pass first; times: number that fail then (None: all).
    One of: status (with headers, body): answered without asking the target · cut_after: N bytes of the answer's body
    pass, then the connection is reset · cut_request_after: the same with the request's body; the target sees a
    broken upload · flip: the answer's body with the byte at this offset changed · hang: no answer until the proxy is
    closed. With any of them, or alone: delay, in seconds, before anything else happens.
    """

    method: str = ""
    path: str = ""
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut_after: int | None = None
    cut_request_after: int | None = None
    flip: int | None = None
    hang: bool = False
    delay: float = 0
    skip: int = 0
    times: int | None = None
    seen: int = field(default=0, init=False)

    def fits(self, method: str, path: str) -> bool:
        return self.method in ("", method) and re.search(self.path, path) is not None

    def due(self) -> bool:
        """Count this request; return whether it fails."""
        self.seen += 1
        return self.seen > self.skip and (self.times is None or self.seen <= self.skip + self.times)


class _CutError(Exception):
    """The connection must be reset now."""


class FaultProxy:
    """See the module. `close()` ends it; the fixture does that."""

    def __init__(self, target: str, *faults: Fault) -> None:
        self.target = target
        self.faults = list(faults)
        self.requests: list[tuple[str, str, int]] = []
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self.address = f"127.0.0.1:{free_port()}"
        host, _, port = self.address.partition(":")
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = _Server((host, int(port)), handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def fault_for(self, method: str, path: str) -> Fault | None:
        with self._lock:
            return next((fault for fault in self.faults if fault.fits(method, path) and fault.due()), None)

    def arrived(self, method: str, path: str) -> int:
        """Record a request before the response, so that no client is faster than its entry."""
        with self._lock:
            self.requests.append((method, path, 0))
            return len(self.requests) - 1

    def answered(self, number: int, status: int) -> None:
        method, path, _ = self.requests[number]
        self.requests[number] = (method, path, status)

    def count(self, method: str, path: str = "") -> int:
        """Return the number of such requests."""
        return sum(1 for one in list(self.requests) if one[0] == method and re.search(path, one[1]))

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing: resetting connections is this proxy's purpose."""


class _Handler(BaseHTTPRequestHandler):
    proxy: FaultProxy
    protocol_version = "HTTP/1.1"
    upstream: http.client.HTTPConnection | None = None
    number = 0
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing; `requests` has the entry."""

    def _handle(self) -> None:
        self.number = self.proxy.arrived(self.command, self.path)
        try:
            self._play(self.proxy.fault_for(self.command, self.path) or Fault())
        except (_CutError, OSError, http.client.HTTPException):
            # Cut on purpose, or the target is gone: close this connection too.
            self.proxy.answered(self.number, 0)
            self._reset()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _handle  # noqa: N815

    def _play(self, fault: Fault) -> None:
        if fault.delay:
            time.sleep(fault.delay)
        if fault.hang:
            self.proxy.closing.wait()
            raise _CutError
        if fault.status:
            self._answer(fault)
            return
        if fault.cut_request_after is not None and fault.cut_request_after == 0:
            raise _CutError
        self._return(self._forward(fault), fault)

    def _answer(self, fault: Fault) -> None:
        for _ in self._request_body():
            pass
        self.proxy.answered(self.number, fault.status)
        self.send_response(fault.status)
        for name, value in {"Content-Length": str(len(fault.body)), **fault.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(fault.body)

    def _forward(self, fault: Fault) -> http.client.HTTPResponse:
        upstream = self.upstream = self.upstream or http.client.HTTPConnection(self.proxy.target, timeout=120)
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            # Keep the proxy's Host, from which the registry builds Location headers.
            if name.lower() not in _OF_ONE_HOP or name.lower() == "transfer-encoding":
                upstream.putheader(name, value)
        upstream.endheaders()
        chunked = self._chunked()
        for piece in self._cut_short(self._request_body(), fault.cut_request_after):
            upstream.send(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            upstream.send(b"0\r\n\r\n")
        return upstream.getresponse()

    def _return(self, response: http.client.HTTPResponse, fault: Fault) -> None:
        self.proxy.answered(self.number, response.status)
        length = response.headers.get("Content-Length")
        self.send_response(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in _OF_ONE_HOP:
                self.send_header(name, value)
        bodiless = self.command == "HEAD" or response.status in (204, 304)
        chunked = length is None and not bodiless
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        pieces = iter(lambda: response.read(_PIECE), b"")
        for piece in self._cut_short(_flipped(pieces, fault.flip), fault.cut_after):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _cut_short(self, pieces: Iterator[bytes], limit: int | None) -> Iterator[bytes]:
        passed = 0
        for piece in pieces:
            if limit is not None and passed + len(piece) >= limit:
                yield piece[: limit - passed]
                self.wfile.flush()
                raise _CutError
            passed += len(piece)
            yield piece

    def _chunked(self) -> bool:
        return "chunked" in self.headers.get("Transfer-Encoding", "").lower()

    def _request_body(self) -> Iterator[bytes]:
        if not self._chunked():
            left = int(self.headers.get("Content-Length") or 0)
            while left:
                piece = self.rfile.read(min(left, _PIECE))
                if not piece:
                    raise _CutError
                left -= len(piece)
                yield piece
            return
        while True:
            size = int(self.rfile.readline().split(b";")[0], 16)
            if size:
                yield self.rfile.read(size)
            self.rfile.readline()
            if not size:
                return

    def _reset(self) -> None:
        """Reset both sides after the sent bytes have arrived, so that they see a broken connection."""
        self.close_connection = True
        _arrive(self.connection)
        if self.upstream:
            self.upstream.close()
            self.upstream = None
        with contextlib.suppress(OSError):
            # A linger time of zero makes close() send RST.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.connection.close()

    def finish(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().finish()
        if self.upstream:
            self.upstream.close()


def _arrive(connection: socket.socket) -> None:
    """Wait at most a second until the kernel has delivered all bytes, because a reset discards pending ones."""
    with contextlib.suppress(OSError, ValueError):
        for _turn in range(200):
            if not struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0" * 4))[0]:
                return
            time.sleep(0.005)


def _flipped(pieces: Iterator[bytes], offset: int | None) -> Iterator[bytes]:
    passed = 0
    for piece in pieces:
        if offset is not None and passed <= offset < passed + len(piece):
            changed = bytearray(piece)
            changed[offset - passed] ^= 0xFF
            yield bytes(changed)
        else:
            yield piece
        passed += len(piece)
