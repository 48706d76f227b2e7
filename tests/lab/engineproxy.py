"""An engine's socket that answers as a newer Docker does: it announces its versions of the API, and refuses older ones."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from pathlib import Path

_PIECE = 64 * 1024
_VERSION = re.compile(rb"^([A-Z]+ )/v(\d+)\.(\d+)(/)")
#: What Docker 29 announces; its engine refuses a client that speaks an older API than the second one.
NEWEST, OLDEST = "1.52", "1.44"


class EngineProxy:
    """Stands at the socket ``path`` in front of the engine at ``target``. ``close()`` ends it.

    The distribution's docker command, which is older, passes: where the engine is new, that is new, too. (Early plugins
    call themselves Docker-Client/2.) The engine behind it gets each request in its own version of the API, ``speaks``.
    """

    def __init__(self, path: Path, target: Path, speaks: str) -> None:
        self.refused: list[str] = []
        self._path, self._target, self._speaks = path, str(target), speaks.encode()
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        path.chmod(0o666)
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """Serve one request, then end the connection: the client opens another one for the next."""
        with client, contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as engine:
            head, rest = _head(client)
            asked = _VERSION.match(head)
            own_command = re.search(rb"\r\nUser-Agent: Docker-Client/[1-9]\d", head)
            if asked and (int(asked[2]), int(asked[3])) < tuple(map(int, OLDEST.split("."))) and not own_command:
                client.sendall(self._refusal(f"{asked[2].decode()}.{asked[3].decode()}"))
                return
            if asked and not own_command:
                head = _VERSION.sub(rb"\1/v" + self._speaks + rb"\4", head)
            upgrades = b"\r\nUpgrade: " in head
            if not upgrades:
                head = re.sub(rb"\r\nConnection: [^\r]*", b"", head) + b"Connection: close\r\n"
            engine.connect(self._target)
            engine.sendall(head + b"\r\n" + rest)
            threading.Thread(target=_copy, args=(client, engine), daemon=True).start()
            answer, rest = _head(engine)
            if not own_command:
                answer = re.sub(rb"\r\nApi-Version: [^\r]*", b"\r\nApi-Version: " + NEWEST.encode(), answer)
            client.sendall(answer + b"\r\n" + rest)
            _copy(engine, client)

    def _refusal(self, version: str) -> bytes:
        self.refused.append(version)
        text = f"client version {version} is too old. Minimum supported API version is {OLDEST}, please upgrade your client to a newer version"
        body = json.dumps({"message": text}).encode()
        head = f"HTTP/1.1 400 Bad Request\r\nApi-Version: {NEWEST}\r\nContent-Type: application/json\r\n"
        return head.encode() + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def _head(one: socket.socket) -> tuple[bytes, bytes]:
    """Return the lines of a head, and what was read behind it."""
    read = b""
    while b"\r\n\r\n" not in read:
        piece = one.recv(_PIECE)
        if not piece:
            raise ConnectionError
        read += piece
    head, _blank, rest = read.partition(b"\r\n\r\n")
    return head + b"\r\n", rest


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(_PIECE):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
