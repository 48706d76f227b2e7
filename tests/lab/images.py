"""Puts images into a registry without an engine, with exactly the bytes that a test needs, without the agent's code."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import Any

from lab import ask
from lab.registry import Registry

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_CONFIG = "application/vnd.docker.container.image.v1+json"


@dataclass(frozen=True)
class Image:
    """A stored image: digest and document of its manifest, and digests of its layers."""

    digest: str
    document: dict[str, Any]
    body: bytes
    layers: tuple[str, ...]

    def descriptor(self, **more: Any) -> dict[str, Any]:
        return {"mediaType": self.document["mediaType"], "size": len(self.body), "digest": self.digest, **more}


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def put_blob(one: Registry, repository: str, data: bytes) -> str:
    digest = digest_of(data)
    begun = ask.registry(one, "POST", f"/v2/{repository}/blobs/uploads/")
    path = begun.headers["location"].rpartition(one.address)[2]
    path += ("&" if "?" in path else "?") + f"digest={digest}"
    done = ask.registry(one, "PUT", path, data, Content_Type="application/octet-stream")
    assert done.status == 201, done
    return digest


def put_manifest(one: Registry, repository: str, reference: str, document: dict[str, Any]) -> Image:
    """Put a manifest or index under a tag, or under its digest where ``reference`` is ""."""
    # Unusual blanks, which no serializer would produce: a copy must have exactly these bytes.
    body = json.dumps(document, indent=3).encode() + b"\n"
    digest = digest_of(body)
    path = f"/v2/{repository}/manifests/{reference or digest}"
    done = ask.registry(one, "PUT", path, body, Content_Type=document["mediaType"])
    assert done.status == 201, done
    return Image(digest, document, body, tuple(layer["digest"] for layer in document.get("layers", [])))


def put_image(
    one: Registry,
    repository: str,
    tag: str,
    *sizes: int,
    created: str = "2026-11-24T09:30:15Z",
    media_type: str = DOCKER,
    foreign: bool = False,
    labels: dict[str, str] | None = None,
) -> Image:
    """Put an image with layers of random bytes, of ``sizes``; with ``foreign``, an additional layer that may not be distributed."""
    layers = []
    for size in sizes or (1000,):
        data = os.urandom(size)
        layers.append({"mediaType": _LAYER, "size": size, "digest": put_blob(one, repository, data)})
    if foreign:
        address = {"urls": ["https://layers.example/windows"], "size": 1_000_000, "digest": digest_of(os.urandom(8))}
        layers.append({"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", **address})
    known = {"created": created, "os": "linux", "architecture": "amd64", "nonce": os.urandom(6).hex()}
    config = json.dumps({**known, "config": {"Labels": labels}} if labels else known)
    document = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": {
            "mediaType": _CONFIG,
            "size": len(config),
            "digest": put_blob(one, repository, config.encode()),
        },
        "layers": layers,
    }
    return put_manifest(one, repository, tag, document)


def put_index(
    one: Registry, repository: str, tag: str, labels: dict[str, str] | None = None
) -> tuple[Image, list[Image]]:
    """Put an index of two platforms, each with its attestation, as BuildKit makes them; return it and its children."""
    children, entries = [], []
    for architecture in ("amd64", "arm64"):
        image = put_image(one, repository, "", 2000, media_type=OCI, labels=labels)
        attestation = put_image(one, repository, "", 500, media_type=OCI)
        children += [image, attestation]
        entries.append(image.descriptor(platform={"os": "linux", "architecture": architecture}))
        notes = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image.digest}
        nowhere = {"os": "unknown", "architecture": "unknown"}
        entries.append(attestation.descriptor(platform=nowhere, annotations=notes))
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    return put_manifest(one, repository, tag, index), children


def put_referrer(
    one: Registry, repository: str, subject: Image, kind: str = "application/spdx+json", text: str = ""
) -> Image:
    """Put an artifact that refers to ``subject``; registries without the referrers API learn of it by ``list_referrers``."""
    data = (text or os.urandom(8).hex()).encode()
    empty = {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2, "digest": put_blob(one, repository, b"{}")}
    document = {
        "schemaVersion": 2,
        "mediaType": OCI,
        "artifactType": kind,
        "config": empty,
        "layers": [{"mediaType": kind, "size": len(data), "digest": put_blob(one, repository, data)}],
        "subject": subject.descriptor(),
    }
    return put_manifest(one, repository, "", document)


def list_referrers(one: Registry, repository: str, subject: Image, *referrers: Image) -> Image:
    """Put the fallback tag of ``subject``, which lists ``referrers`` where the registry has no API for that."""
    entries = [referrer.descriptor(artifactType=referrer.document["artifactType"]) for referrer in referrers]
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    return put_manifest(one, repository, subject.digest.replace(":", "-"), index)
