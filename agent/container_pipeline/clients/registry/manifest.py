"""Manifests in a registry: their bytes, over which the digest is computed, and their references.

Media types: OCI image spec (``manifest.md``, ``image-index.md``) and Docker's image manifest v2, schema 2.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from container_pipeline import outside
from container_pipeline.errors import RegistryError, SettingsError
from container_pipeline.i18n import _
from container_pipeline.model import Digest
from container_pipeline.outside import maps, pick

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
#: All other types are accepted too, unchanged.
ACCEPT = ", ".join((OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST, "*/*;q=0.5"))
#: Most parts of one manifest: Docker accepts 127 layers; an artifact or an index may have more.
_MOST = 2000
_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1"
#: Annotation that tells in an index what an attestation is.
_KIND = "vnd.docker.reference.type"
_ATTESTATION = "application/vnd.docker.attestation.manifest.v1+json"
#: Layers that a registry need not have: their bytes are elsewhere and not distributed (as in crane's default).
_FOREIGN = ("application/vnd.docker.image.rootfs.foreign.", "application/vnd.oci.image.layer.nondistributable.")


@dataclass(frozen=True)
class Descriptor:
    """A reference in a manifest; ``size`` in bytes."""

    digest: Digest
    size: int
    media_type: str = ""


@dataclass(frozen=True)
class Manifest:
    """A manifest, index or other content under a tag; ``body`` is never changed."""

    body: bytes
    media_type: str

    @cached_property
    def digest(self) -> Digest:
        return Digest("sha256:" + hashlib.sha256(self.body).hexdigest())

    @cached_property
    def document(self) -> dict[str, Any]:
        """The manifest as JSON; raises RegistryError if it is invalid."""
        try:
            return outside.read_json(self.body, dict)
        except outside.Unreadable as error:
            raise RegistryError(
                _("manifest {digest} is not a valid manifest: {problem}", digest=self.digest, problem=error.problem),
                _("check the proxy in front of the registry"),
            ) from error

    @property
    def is_schema1(self) -> bool:
        """Whether it has Docker's first format, which is signed for one name and tag."""
        return self.media_type.startswith(_SCHEMA1) or self.document.get("schemaVersion") == 1

    @property
    def is_typed(self) -> bool:
        """Whether the registry sent a specific type; some send the generic one."""
        return self.media_type not in ("", "application/json", "application/octet-stream", "text/plain")

    @property
    def children(self) -> tuple[Descriptor, ...]:
        """The manifests of an index."""
        return self._descriptors("manifests")

    @property
    def images(self) -> tuple[Digest, ...]:
        """The images of an index, without the attestations that BuildKit puts beside them; empty for another manifest.

        Source: docs.docker.com, attestation storage.
        """
        entries = zip(self.children, maps(self.document, "manifests"))
        marks = ((child, pick(pick(entry, "annotations", dict), _KIND, str)) for child, entry in entries)
        return tuple(child.digest for child, mark in marks if mark != "attestation-manifest")

    @property
    def attestations(self) -> frozenset[Digest]:
        """The manifests of an index that BuildKit attached to its images."""
        return frozenset(child.digest for child in self.children) - set(self.images)

    @property
    def is_attested(self) -> bool:
        """Whether it is what BuildKit attached to an image, or an index that has such a manifest."""
        layers = [pick(layer, "mediaType", str) for layer in maps(self.document, "layers")]
        own = pick(self.document, "artifactType", str) == _ATTESTATION or "application/vnd.in-toto+json" in layers
        return own or bool(self.attestations)

    def without(self, left_out: Collection[Digest]) -> Manifest:
        """Return an index with the same entries but ``left_out``."""
        entries = zip(self.children, maps(self.document, "manifests"))
        kept = [entry for child, entry in entries if child.digest not in left_out]
        body = json.dumps({**self.document, "manifests": kept}, separators=(",", ":")).encode()
        return Manifest(body, self.media_type)

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Config and layers that the registry requires before it accepts the manifest."""
        found = self._descriptors("config") + self._descriptors("layers") + self._descriptors("blobs")
        return tuple(blob for blob in found if not blob.media_type.startswith(_FOREIGN))

    @property
    def config(self) -> Descriptor | None:
        return next(iter(self._descriptors("config")), None)

    @property
    def subject(self) -> Digest | None:
        """The manifest that it refers to (distribution spec 1.1)."""
        return next(iter(one.digest for one in self._descriptors("subject")), None)

    def _descriptors(self, key: str) -> tuple[Descriptor, ...]:
        value = self.document.get(key) or []
        try:
            found = tuple(_descriptor(entry) for entry in ([value] if isinstance(value, dict) else value))
            if len(found) > _MOST:
                raise ValueError(_("it has more than {count} values", count=_MOST))
            return found
        except (LookupError, TypeError, ValueError, SettingsError) as error:
            raise RegistryError(
                _(
                    "manifest {digest} has {key} that cannot be read: {error}",
                    digest=self.digest,
                    key=key,
                    error=outside.short(error, 100),
                ),
                _("build and push the image again"),
            ) from error


def _descriptor(entry: dict[str, Any]) -> Descriptor:
    size = outside.pick(entry, "size", int, -1)
    if not 0 <= size < 1 << 53:
        raise ValueError("size")
    return Descriptor(Digest(entry["digest"]), size, media_type(outside.pick(entry, "mediaType", str)))


def media_type(text: str) -> str:
    """Return a valid media type (RFC 6838, 4.2) or "", since it is sent in a header."""
    return text if re.fullmatch(r"[\w!#$&^.+-]{1,127}/[\w!#$&^.+-]{1,127}", text, re.ASCII) else ""
