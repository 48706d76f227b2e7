"""HTTP responses whose head must arrive in time; an occasional byte does not extend the time."""

from __future__ import annotations

import http.client
import io
import time
from typing import Any

#: Bytes per read.
PIECE = 1 << 18


class Timed(io.RawIOBase):
    """The bytes that a socket receives ``until`` a moment; ``silence`` is the longest wait for one byte."""

    def __init__(self, sock: Any, seconds: float, silence: float) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._silence = silence
        self.until = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(min(left, self._silence))
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class Response(http.client.HTTPResponse):
    """A response whose head must arrive in time; the reader of its body sets ``timed.until`` again."""

    def __init__(self, sock: Any, debuglevel: int = 0, method: str | None = None, url: str | None = None) -> None:
        super().__init__(sock, debuglevel, method, url)
        self.fp.close()
        self.timed = Timed(sock, *self.patience(method or ""))
        self.fp = io.BufferedReader(self.timed, PIECE)

    def patience(self, method: str) -> tuple[float, float]:
        """Return the limits in seconds for the head of a response to ``method``, and for one byte."""
        raise NotImplementedError
