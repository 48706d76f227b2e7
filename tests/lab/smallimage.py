"""The small base image with a different configuration, pushed without an engine: milliseconds instead of a second."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
import tempfile
from collections.abc import Mapping
from datetime import datetime, timezone
from functools import cache
from typing import Any

from lab import ask, engine
from lab.handle import Lab
from lab.registry import Registry

_DOCKER = "application/vnd.docker"


def push(lab: Lab, registry: Registry, repository: str, tag: str, config: Mapping[str, Any]) -> None:
    """Push a unique image; ``config`` is its container configuration, in addition to that of the base image."""
    base, layers = _base(lab.docker_host, lab.small_image)
    made = {**base, "config": {**base["config"], **config}, "created": datetime.now(timezone.utc).isoformat()}
    text = json.dumps(made).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_DOCKER}.distribution.manifest.v2+json",
        "config": _blob(registry, repository, text, f"{_DOCKER}.container.image.v1+json"),
        "layers": [_blob(registry, repository, one, f"{_DOCKER}.image.rootfs.diff.tar.gzip") for one in layers],
    }
    _put(registry, f"/v2/{repository}/manifests/{tag}", json.dumps(manifest).encode(), str(manifest["mediaType"]))


def _blob(registry: Registry, repository: str, data: bytes, kind: str) -> dict[str, object]:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if ask.registry(registry, "HEAD", f"/v2/{repository}/blobs/{digest}").status != 200:
        place = ask.registry(registry, "POST", f"/v2/{repository}/blobs/uploads/").headers["location"]
        path = "/" + place.partition("://")[2].partition("/")[2] if "://" in place else place
        _put(registry, f"{path}{'&' if '?' in path else '?'}digest={digest}", data, "application/octet-stream")
    return {"mediaType": kind, "size": len(data), "digest": digest}


def _put(registry: Registry, path: str, data: bytes, kind: str) -> None:
    answer = ask.registry(registry, "PUT", path, data, Content_Type=kind)
    assert answer.status == 201, answer.body


@cache
def _base(docker_host: str, image: str) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """Return configuration and compressed layers of an image in the engine."""
    with tempfile.NamedTemporaryFile() as file:
        engine.docker(docker_host, "save", "-o", file.name, image)
        with tarfile.open(file.name) as packed:

            def read(name: str) -> bytes:
                member = packed.extractfile(name)
                assert member is not None
                return member.read()

            (said,) = json.loads(read("manifest.json"))
            layers = tuple(gzip.compress(read(name), 1, mtime=0) for name in said["Layers"])
            return json.loads(read(said["Config"])), layers
