"""A minimal correct token server, as registries name it in their Bearer challenge.

It signs the tokens of distribution's `auth: token` with RS256 (distribution spec, "token authentication" and "token scope"),
for users with passwords and allowed actions.
"""

from __future__ import annotations

import base64
import http.server
import json
import secrets
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from lab.process import run
from lab.registry import Registry

SERVICE = "lab-registry"
ISSUER = "lab-token-server"
#: Seconds after its expiry for which distribution still accepts a token.
LEEWAY = 60


@dataclass
class TokenServer:
    """`users`: name → (password, actions). `lifetimes`: seconds for the next tokens, then 300. `asked`: scopes, in order.

    `failures`: number of first requests that get a 503. `said_lifetime`: lifetime in the response, true or not.
    """

    folder: Path
    users: dict[str, tuple[str, set[str]]]
    lifetimes: list[float] = field(default_factory=list)
    said_lifetime: int = 300
    failures: int = 0
    asked: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.key, self.certificate = self.folder / "token-key.pem", self.folder / "token.pem"
        run(
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={ISSUER}",
            "-keyout", str(self.key), "-out", str(self.certificate),
        )  # fmt: skip
        handler = type("Handler", (_Handler,), {"tokens": self})
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self.realm = f"http://127.0.0.1:{self._http.server_port}/token"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def guard(self, registry: Registry) -> None:
        """Make a registry, configured but not started, accept this server's tokens."""
        path = registry.folder / "config.yml"
        config = json.loads(path.read_text())
        bundle = str(self.certificate)
        token = {"realm": self.realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": bundle}
        path.write_text(json.dumps({**config, "auth": {"token": token}}))

    def token(self, user: str, scopes: list[str]) -> str:
        allowed = self.users[user][1]
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            access.append({"type": kind, "name": name, "actions": sorted(allowed & set(actions.split(",")))})
        now = time.time()
        lifetime = self.lifetimes.pop(0) if self.lifetimes else 300
        claims = {
            "iss": ISSUER, "sub": user, "aud": SERVICE, "jti": secrets.token_hex(8), "access": access,
            "iat": int(now) - LEEWAY, "nbf": int(now) - LEEWAY, "exp": int(now + lifetime - LEEWAY),
        }  # fmt: skip
        der = subprocess.run(
            ["openssl", "x509", "-in", str(self.certificate), "-outform", "DER"], capture_output=True, check=True
        ).stdout
        header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
        signed = f"{_encode(json.dumps(header).encode())}.{_encode(json.dumps(claims).encode())}"
        signature = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", str(self.key)],
            input=signed.encode(),
            capture_output=True,
            check=True,
        ).stdout
        return f"{signed}.{_encode(signature)}"


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class _Handler(http.server.BaseHTTPRequestHandler):
    tokens: TokenServer

    def do_GET(self) -> None:
        server = self.tokens
        query = parse_qs(urlsplit(self.path).query)
        if server.failures:
            server.failures -= 1
            self._answer(503, {})
            return
        user, _colon, password = base64.b64decode(self.headers.get("Authorization", "")[6:]).decode().partition(":")
        if query.get("service") != [SERVICE] or server.users.get(user, ("",))[0] != password or not password:
            self._answer(401, {"details": "incorrect username or password"})
            return
        scopes = query.get("scope", [])
        server.asked.append(scopes)
        self._answer(200, {"token": server.token(user, scopes), "expires_in": server.said_lifetime})

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""
