"""Plans which versions to delete: never one that is in use, kept, has another tag, or is part of an image that stays."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from container_pipeline.i18n import _
from container_pipeline.model import Digest, ImageRef, RegistryAccess
from container_pipeline.plan.steps import Step

#: Form of this product's versions; other tags belong to somebody else and stay.
_VERSION = re.compile(r"[0-9]{14}")


@dataclass(frozen=True)
class Delete(Step):
    """Delete one manifest of a registry, with its tags."""

    name: ClassVar[str] = "delete"
    image: ImageRef
    digest: Digest
    access: RegistryAccess

    def describe(self) -> str:
        return _("delete {image} ({digest})", image=self.image, digest=self.digest.short)


@dataclass(frozen=True)
class Remove(Step):
    """Remove one name of an image from the engine, and with the last one the image."""

    name: ClassVar[str] = "remove"
    image: ImageRef

    def describe(self) -> str:
        return _("remove {image} from the engine", image=self.image)


@dataclass(frozen=True)
class Held:
    """One repository in a registry: each tag's digest, and the manifests of each index."""

    tags: Mapping[str, Digest]
    parts: Mapping[Digest, Collection[Digest]] = field(default_factory=dict)


def versions(tags: Collection[str]) -> list[str]:
    """Return the tags that are versions, newest first."""
    return sorted(filter(_VERSION.fullmatch, tags), reverse=True)


def plan(image: ImageRef, access: RegistryAccess, held: Held, keep: int, in_use: Collection[str]) -> list[Step]:
    """Plan to delete all versions except the newest ``keep`` and those ``in_use``; ``image`` has registry and repository."""
    found = versions(held.tags)
    doomed = {tag for tag in found[keep:] if tag not in in_use}
    stays = {digest for tag, digest in held.tags.items() if tag not in doomed}
    stays |= {part for digest in stays for part in held.parts.get(digest, ())}
    return list(_deletions(image, access, held, sorted(doomed), stays))


def plan_local(held: Mapping[ImageRef, str], keep: int, in_use: Collection[str]) -> list[Step]:
    """Plan to remove all versions except the newest ``keep`` from the engine.

    ``held`` maps names to image ids. Versions and ids in ``in_use`` stay, and so does the image of `latest`.
    """
    found = versions({image.tag for image in held})
    stays = {*in_use, *(identity for image, identity in held.items() if image.tag == "latest")}
    return [
        Remove(image)
        for version in reversed(found[keep:])
        for image, identity in held.items()
        if image.tag == version and not stays & {version, identity}
    ]


def _deletions(
    image: ImageRef, access: RegistryAccess, held: Held, doomed: list[str], stays: set[Digest]
) -> Iterator[Step]:
    """Yield oldest first; the manifests of an index after the index itself."""
    gone = set(stays)
    for tag in doomed:
        digest = held.tags[tag]
        for each in (digest, *held.parts.get(digest, ())):
            if digest not in stays and each not in gone:
                gone.add(each)
                yield Delete(image.with_tag(tag), each, access)
