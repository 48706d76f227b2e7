"""Queries registries for tests: plain HTTP with its own credentials, without the agent's code."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from dataclasses import dataclass
from typing import Any

from lab.registry import Registry

MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]  # lower-case names
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def registry(one: Registry, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
    """Send one request; `path` has a leading slash. Header names use `_` for `-`."""
    if one.certificate:
        context = ssl.create_default_context(cafile=str(one.certificate))
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(one.address, timeout=30, context=context)
    else:
        connection = http.client.HTTPConnection(one.address, timeout=30)
    login = base64.b64encode(f"{one.user}:{one.password}".encode()).decode()
    sent = {"Authorization": f"Basic {login}", "Accept": MANIFESTS}
    sent.update({name.replace("_", "-"): value for name, value in headers.items()})
    connection.request(method, path, body or None, sent)
    response = connection.getresponse()
    answer = Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    connection.close()
    return answer


def tags(one: Registry, repository: str) -> list[str]:
    """Return the sorted tags; empty if the repository does not exist."""
    answer = registry(one, "GET", f"/v2/{repository}/tags/list")
    return sorted(answer.json().get("tags") or []) if answer.status == 200 else []


def digest(one: Registry, repository: str, reference: str) -> str | None:
    """Return the digest of a tag's manifest, or None."""
    answer = registry(one, "HEAD", f"/v2/{repository}/manifests/{reference}")
    return answer.headers["docker-content-digest"] if answer.status == 200 else None
