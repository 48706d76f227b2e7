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
    #: Whether it only refers to the image, as a signature does.
    refers: bool = False

    def describe(self) -> str:
        if self.refers:
            return _("delete {digest}, which refers to {image}", image=self.image, digest=self.digest.short)
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
    #: Tag of a list of referrers, or of a referrer → the manifest to which it belongs.
    subjects: Mapping[str, Digest] = field(default_factory=dict)
    #: Manifest → what refers to it, as far as it was asked.
    referrers: Mapping[Digest, Collection[Digest]] = field(default_factory=dict)


def versions(tags: Collection[str]) -> list[str]:
    """Return the tags that are versions, newest first."""
    return sorted(filter(_VERSION.fullmatch, tags), reverse=True)


def going(held: Held, keep: int, in_use: Collection[str]) -> list[Digest]:
    """Return the manifests of all versions to delete, with the manifests of their indexes: what refers to these goes, too."""
    doomed, stays = _divide(held, keep, in_use)
    found = [each for tag in doomed for each in _whole(held, held.tags[tag]) if held.tags[tag] not in stays]
    return [digest for digest in dict.fromkeys(found) if digest not in stays]


def plan(image: ImageRef, access: RegistryAccess, held: Held, keep: int, in_use: Collection[str]) -> list[Step]:
    """Plan to delete all versions except the newest ``keep`` and those ``in_use``; ``image`` has registry and repository.

    ``in_use`` has tags, and digests that are pinned.
    """
    doomed, stays = _divide(held, keep, in_use)
    gone = _with_referrers(held, going(held, keep, in_use))
    belongs = {tag for tag, subject in held.subjects.items() if subject in gone}
    stays |= {
        part for tag, digest in held.tags.items() if tag not in {*belongs, *doomed} for part in _whole(held, digest)
    }
    return list(_deletions(image, access, held, doomed, stays))


def _divide(held: Held, keep: int, in_use: Collection[str]) -> tuple[list[str], set[Digest]]:
    """Return the versions to delete, oldest first, and the manifests that stay because of another tag."""
    doomed = sorted(
        tag for tag in versions(held.tags)[keep:] if tag not in in_use and str(held.tags[tag]) not in in_use
    )
    others = {digest for tag, digest in held.tags.items() if tag not in {*doomed, *held.subjects}}
    return doomed, {part for digest in others for part in _whole(held, digest)}


def _whole(held: Held, digest: Digest) -> tuple[Digest, ...]:
    return (digest, *held.parts.get(digest, ()))


def _with_referrers(held: Held, digests: Collection[Digest]) -> dict[Digest, None]:
    """Return ``digests`` and all that refers to them, and to that in turn."""
    gone = dict.fromkeys(digests)
    waiting = list(digests)
    while waiting:
        subject = waiting.pop()
        lists = [held.tags[tag] for tag, known in held.subjects.items() if known == subject and tag in held.tags]
        # Not all that a list names: it may be wrong, and what it names may refer to another image.
        new = [digest for digest in (*held.referrers.get(subject, ()), *lists) if digest not in gone]
        gone.update(dict.fromkeys(new))
        waiting += new
    return gone


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
    """Yield oldest first; what refers to a version before it, so that a cut run finds it again; an index before its manifests."""
    gone = set(stays)
    for tag in doomed:
        own = _whole(held, held.tags[tag])
        if own[0] in stays:
            continue
        leaving = [digest for digest in own if digest not in stays]
        referring = [digest for digest in _with_referrers(held, leaving) if digest not in own]
        for each in (*referring, *own):
            if each not in gone:
                gone.add(each)
                yield Delete(image.with_tag(tag), each, access, refers=each not in own)
