"""A real Docker registry (Debian's docker-registry) on loopback, with its own users."""

from __future__ import annotations

import http.client
import json
import secrets
import shutil
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.place import LabError
from lab.process import alive, run, start, stop, wait_for


@dataclass(frozen=True)
class Registry:
    """`address` is HOST:PORT, as in image names; `certificate` is set with TLS."""

    name: str
    folder: Path
    address: str
    user: str
    password: str
    certificate: Path | None = None
    #: The program that serves it, where it is not Debian's.
    command: tuple[str, ...] = ()

    @property
    def pidfile(self) -> Path:
        return self.folder / "registry.pid"

    @property
    def log(self) -> Path:
        return self.folder / "registry.log"

    @property
    def storage(self) -> Path:
        return self.folder / "storage"

    def running(self) -> bool:
        return alive(self.pidfile) is not None and self.answers()

    def answers(self) -> bool:
        """Return whether /v2/ responds, also with 401."""
        try:
            if self.certificate:
                context = ssl.create_default_context(cafile=str(self.certificate))
                connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                    self.address, timeout=2, context=context
                )
            else:
                connection = http.client.HTTPConnection(self.address, timeout=2)
            connection.request("GET", "/v2/")
            return connection.getresponse().status in (200, 401)
        except (OSError, http.client.HTTPException):
            return False

    def start(self) -> None:
        """Start it with its configuration, and wait for a response."""
        command = self.command or ("docker-registry", "serve", str(self.folder / "config.yml"))
        start(self.pidfile, list(command), self.log)
        wait_for(f"the registry {self.name} at {self.address}", self.answers, self.pidfile, self.log)

    def stop(self) -> None:
        stop(self.pidfile, patience=5)

    def forget(self, repository: str) -> None:
        """Remove a repository. It is on the disk alone: `configure` sets no cache."""
        shutil.rmtree(self.storage / "docker/registry/v2/repositories" / repository, ignore_errors=True)

    def add_user(self, name: str) -> str:
        """Add a user; return the password. The registry reloads the file itself."""
        password = new_password()
        run("htpasswd", "-iB", "-C", "4", str(self.folder / "htpasswd"), name, stdin=password)
        return password


def new_password() -> str:
    """Return a password that shells, URLs and Base64 encode differently, so that the form of a leak can be recognised."""
    return secrets.token_urlsafe(15) + "+/$'"


def configure(
    registry: Registry,
    *,
    auth: bool = True,
    delete: bool = True,
    readonly: bool = False,
    tls: bool = False,
    names: Sequence[str] = (),
) -> None:
    """Write the folder's config.yml (and users, certificate); ``names`` are other hosts that its certificate is for."""
    registry.folder.mkdir(parents=True, exist_ok=True)
    config: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": False}},
        "storage": {
            "filesystem": {"rootdirectory": str(registry.storage)},
            "delete": {"enabled": delete},
            "maintenance": {"uploadpurging": {"enabled": False}, "readonly": {"enabled": readonly}},
        },
        "http": {"addr": registry.address, "secret": secrets.token_hex(16)},
        # Without it, manifests with external layers are refused.
        "validation": {"manifests": {"urls": {"allow": ["^https://"]}}},
    }
    if auth:
        users = registry.folder / "htpasswd"
        _write_private(users, run("htpasswd", "-inB", "-C", "4", registry.user, stdin=registry.password))
        config["auth"] = {"htpasswd": {"realm": registry.name, "path": str(users)}}
    if tls:
        certificate, key = _certificate(registry, names)
        config["http"] = {**dict(config["http"]), "tls": {"certificate": str(certificate), "key": str(key)}}  # type: ignore[call-overload]
    # JSON is YAML.
    _write_private(registry.folder / "config.yml", json.dumps(config, indent=2))


def _certificate(registry: Registry, names: Sequence[str]) -> tuple[Path, Path]:
    if registry.certificate is None:
        raise LabError(f"the registry {registry.name} has no place for its certificate")
    host, key = registry.address.rpartition(":")[0], registry.folder / "key.pem"
    run(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-keyout", str(key), "-out", str(registry.certificate), "-subj", f"/CN={host}",
        "-addext", ",".join([f"subjectAltName=IP:{host}", *(f"DNS:{name}" for name in names)]),
    )  # fmt: skip
    return registry.certificate, key


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
