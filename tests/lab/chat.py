"""A chat's webhook on this machine: it checks signatures as DingTalk and Feishu document them, and can be slow or refuse."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit


class Chat:
    """A robot of a chat. ``secret`` "" stands for one without the security setting; ``told`` holds the bodies that it took."""

    def __init__(self, kind: str = "slack", secret: str = "", *, seconds: float = 0.0, status: int = 200) -> None:
        self.kind, self.secret, self.seconds, self.status = kind, secret, seconds, status
        self.told: list[dict[str, Any]] = []
        self.refused = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = outer.hear(self.path, body)
                time.sleep(outer.seconds)
                try:
                    self.send_response(outer.status)
                    self.end_headers()
                    self.wfile.write(json.dumps(answer).encode())
                except OSError:
                    pass

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def address(self) -> str:
        path = "/robot/send?access_token=token-canary" if self.kind == "dingtalk" else "/hook/token-canary"
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def hear(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Take a message, or refuse it as the chat does: with HTTP 200 and a code."""
        if self.secret and not self._proven(path, body):
            self.refused += 1
            if self.kind == "dingtalk":
                return {"errcode": 310000, "errmsg": "sign not match"}
            return {"code": 19021, "msg": "sign match fail or timestamp is not within one hour from current time"}
        self.told.append(body)
        return {"errcode": 0, "code": 0}

    def _proven(self, path: str, body: dict[str, Any]) -> bool:
        """Check a signature by the samples of the chats' documents, and that its time is within the last hour."""
        secret = self.secret.encode()
        if self.kind == "dingtalk":
            query = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
            stamp, sign = query.get("timestamp", "0"), query.get("sign", "")
            code = hmac.new(secret, f"{stamp}\n{self.secret}".encode(), digestmod=hashlib.sha256).digest()
            seconds = int(stamp) / 1000
        else:
            stamp, sign = body.get("timestamp", "0"), body.get("sign", "")
            code = hmac.new(f"{stamp}\n{self.secret}".encode(), digestmod=hashlib.sha256).digest()
            seconds = int(stamp)
        return abs(time.time() - seconds) < 3600 and sign == base64.b64encode(code).decode()

    @property
    def text(self) -> str:
        """What the last message says, in whatever form it came."""
        return json.dumps(self.told[-1], ensure_ascii=False)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def chat(kind: str = "slack", secret: str = "", **more: Any) -> Iterator[Chat]:
    one = Chat(kind, secret, **more)
    try:
        yield one
    finally:
        one.close()
