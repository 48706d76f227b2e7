"""A TCP proxy that simulates a distant server and can break open connections."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from queue import SimpleQueue

from lab.place import free_port

_PIECE = 64 * 1024


class TcpProxy:
    """A distant server: each byte is delayed by half of `round_trip` (seconds) each way. `connections`: their number."""

    def __init__(self, target: str, round_trip: float = 0) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._hold = round_trip / 2
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", free_port()), backlog=128)
        self.host, self.port = self._listener.getsockname()
        self.address = f"{self.host}:{self.port}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break all open connections; new ones pass."""
        for one in self._open:
            with contextlib.suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                one.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def close(self) -> None:
        # While a thread waits in accept, close alone lets one more connection in.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                self.connections += 1
                server = socket.create_connection(self._target)
            except OSError:
                if self._listener.fileno() < 0:
                    return
                client.close()
                continue
            self._open += [client, server]
            for source, target in ((client, server), (server, client)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                queue: SimpleQueue[tuple[float, bytes]] = SimpleQueue()
                threading.Thread(target=self._read, args=(source, queue), daemon=True).start()
                threading.Thread(target=self._write, args=(target, queue), daemon=True).start()

    def _read(self, source: socket.socket, queue: SimpleQueue[tuple[float, bytes]]) -> None:
        data = b"."
        while data:
            try:
                data = source.recv(_PIECE)
            except OSError:
                data = b""
            queue.put((time.monotonic() + self._hold, data))

    def _write(self, target: socket.socket, queue: SimpleQueue[tuple[float, bytes]]) -> None:
        while True:
            due, data = queue.get()
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(data)
            except OSError:
                return
