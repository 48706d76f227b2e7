"""What refers to a manifest, such as signatures and SBOMs: found in one registry, attached in another.

Three ways lead there: the referrers API of the distribution spec 1.1, the tag ``sha256-HEX`` by which that spec replaces the
API in older registries, and the tags of cosign, whose manifests do not say to what they refer.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Callable

from container_pipeline.clients.registry import sentences
from container_pipeline.clients.registry.client import CONNECTIONS, REFERRERS
from container_pipeline.clients.registry.copy import Place, with_children
from container_pipeline.clients.registry.manifest import OCI_INDEX, Manifest
from container_pipeline.errors import RegistryError
from container_pipeline.i18n import _
from container_pipeline.model import Digest
from container_pipeline.outside import maps, pick
from container_pipeline.parallel import in_parallel

#: Kinds of referrers, in the order in which they are told.
SIGNATURE, SBOM, ATTESTATION, OTHER = "signature", "sbom", "attestation", "other"
KINDS = (SIGNATURE, SBOM, ATTESTATION, OTHER)
#: What cosign appends to ``sha256-HEX`` → the kind.
SUFFIXES = {".sig": SIGNATURE, ".att": ATTESTATION, ".sbom": SBOM}
#: How many manifests may refer to each other in a row, such as the signature of an SBOM of an image.
DEPTH = 4
#: How often another run may come in between before we give up.
TURNS = 5


@dataclass(frozen=True)
class Referrer:
    """A manifest that refers to ``subject``. ``tag`` is cosign's, or "" where the manifest names its subject itself.

    ``parts`` are the manifests that it lists, if it is an index.
    """

    subject: Digest
    manifest: Manifest
    tag: str = ""
    parts: tuple[Manifest, ...] = ()

    @property
    def manifests(self) -> tuple[Manifest, ...]:
        """Its parts, and itself last."""
        return (*self.parts, self.manifest)

    @property
    def kind(self) -> str:
        return kind_of(self.manifest, self.tag)


_TAG = re.compile(r"sha256-([0-9a-f]{64})(?:\.(?:sig|att|sbom))?")


def subject_of(tag: str) -> Digest | None:
    """Return the digest to which a fallback tag or one of cosign's tags belongs, None for any other tag."""
    found = _TAG.fullmatch(tag)
    return Digest(f"sha256:{found[1]}") if found else None


def fallback_tag(subject: Digest) -> str:
    """Return the tag under which a registry without the referrers API lists what refers to ``subject``."""
    return str(subject).replace(":", "-")


def kind_of(manifest: Manifest, tag: str = "") -> str:
    """Return what a referrer is, by cosign's tag and by the types that it names; for people, not for a decision."""
    document = manifest.document
    layers = maps(document, "layers")
    named = [pick(document, "artifactType", str), pick(pick(document, "config", dict), "mediaType", str)]
    named += [pick(layer, "mediaType", str) for layer in layers]
    for holder in (document, *layers):
        notes = pick(holder, "annotations", dict)
        named += [
            str(value)
            for name, value in notes.items()
            if "predicate" in name.lower() or name == "dev.sigstore.bundle.content"
        ]
    text = " ".join(named).lower()
    if tag.endswith(".sig") or any(mark in text for mark in _SIGNATURES):
        return SIGNATURE
    if tag.endswith(".sbom") or any(mark in text for mark in ("spdx", "cyclonedx", "sbom", "syft")):
        return SBOM
    return ATTESTATION if tag.endswith(".att") or any(mark in text for mark in ("in-toto", "dsse")) else OTHER


_SIGNATURES = (
    "simplesigning",
    "cncf.notary.signature",
    "cosign.artifact.sig",
    "sigstore.dev/cosign/sign",
    "message-signature",
)


def find(
    place: Place,
    subjects: Iterable[Digest],
    tell: Callable[[str], None],
    *,
    tags: Collection[str] | None = None,
    api: bool = True,
) -> tuple[Referrer, ...]:
    """Return all that refers to ``subjects``, and what refers to that in turn.

    Everything about the subjects is asked at once: an image to which nothing refers costs one round trip.
    ``tell`` gets a line about each entry that a list has in error; it is left out. ``tags`` are those of the repository,
    if the caller knows them; ``api`` is False where the registry is known to lack the API.
    """
    found: list[Referrer] = []
    level = list(dict.fromkeys(subjects))
    seen = set(level)
    for _depth in range(DEPTH + 1):
        told = _ask(place, level, api, tags)
        pairs = [(subject, digest) for subject in level for digest in sorted(told.lists[subject])]
        read = in_parallel(lambda pair: _read(place, *pair, tell), pairs, CONNECTIONS)
        found += [one for one in (*read, *told.tagged) if one]
        new = {one.digest: None for each in found for one in each.manifests}
        level = [digest for digest in new if digest not in seen]
        if not level:
            return tuple(found)
        if len(found) > REFERRERS:
            break
        seen.update(level)
        api = told.has_api
        # From here on one list of tags is cheaper than asking for each tag of each referrer.
        tags = frozenset(place.registry.tags(place.repository)) if tags is None else tags
    raise RegistryError(
        _(
            "more refers to {image} than can be copied: over {count} manifests, or over {depth} in a row",
            image=place.name,
            count=REFERRERS,
            depth=DEPTH,
        ),
        _("remove what is not needed there"),
    )


def listed(place: Place, subject: Digest) -> tuple[set[Digest], bool]:
    """Return the digests that a registry lists as referring to ``subject``, and whether it has the referrers API."""
    told = _ask(place, [subject], True, frozenset({fallback_tag(subject)}))
    return told.lists[subject], told.has_api


@dataclass
class _Told:
    """What a registry lists about each subject, and cosign's manifests."""

    lists: dict[Digest, set[Digest]]
    tagged: list[Referrer] = field(default_factory=list)
    has_api: bool = False


def _ask(place: Place, subjects: Sequence[Digest], api: bool, tags: Collection[str] | None) -> _Told:
    """Ask in all three ways at once; ``tags`` are those that exist, None if unknown.

    The fallback tag is read beside the API: a registry that learned the API may still have tags from before.
    """
    registry, repository = place.registry, place.repository
    questions: list[tuple[Digest, str]] = [(subject, "") for subject in subjects if api]
    names = [(subject, fallback_tag(subject) + suffix) for subject in subjects for suffix in ("", *SUFFIXES)]
    questions += [name for name in names if tags is None or name[1] in tags]

    def answer(question: tuple[Digest, str]) -> list[Digest] | Manifest | None:
        subject, tag = question
        return registry.find_manifest(repository, tag) if tag else registry.referrers(repository, subject)

    told = _Told({subject: set() for subject in subjects})
    for (subject, tag), found in zip(questions, in_parallel(answer, questions, CONNECTIONS)):
        if isinstance(found, list):
            told.has_api = True
            told.lists[subject].update(found)
        elif found and tag == fallback_tag(subject):
            told.lists[subject].update(_children(place, tag, found))
        elif found:
            told.tagged.append(Referrer(subject, found, tag, _parts(place, found)))
    return told


def _children(place: Place, tag: str, index: Manifest) -> list[Digest]:
    try:
        return [child.digest for child in index.children]
    except RegistryError as error:
        access = place.registry.access
        raise sentences.no_list(access, f"{place.registry.path(place.repository)}:{tag}", error.message) from error


def _read(place: Place, subject: Digest, digest: Digest, tell: Callable[[str], None]) -> Referrer | None:
    manifest = place.registry.find_manifest(place.repository, str(digest))
    if manifest and manifest.subject == subject:
        return Referrer(subject, manifest, "", _parts(place, manifest))
    problem = _("{digest} does not refer to it") if manifest else _("{digest} does not exist")
    tell(
        _(
            "left out what {image}@{subject} is said to have: {problem}",
            image=place.name,
            subject=subject.short,
            problem=problem.format(digest=digest),
        )
    )
    return None


def _parts(place: Place, manifest: Manifest) -> tuple[Manifest, ...]:
    return with_children(place, manifest, {})[:-1]


def lacking(place: Place, referrers: Iterable[Referrer]) -> tuple[Referrer, ...]:
    """Return those that a registry does not have, or does not list."""
    known: dict[Digest, set[Digest]] = {}

    def is_lacking(one: Referrer) -> bool:
        if one.tag:
            return _tag_change(place.registry.find_manifest(place.repository, one.tag), one) is not None
        return one.manifest.digest not in known[one.subject]

    referrers = tuple(referrers)
    subjects = list(dict.fromkeys(one.subject for one in referrers if not one.tag))
    known.update(zip(subjects, in_parallel(lambda subject: listed(place, subject)[0], subjects, CONNECTIONS // 2)))
    answers = in_parallel(is_lacking, referrers, CONNECTIONS)
    return tuple(one for one, lacks in zip(referrers, answers) if lacks)


def attach(place: Place, referrers: Sequence[Referrer]) -> None:
    """Store manifests whose blobs have arrived, and list each where its subject is looked up; keeps what was there."""
    own = [one for one in referrers if not one.tag]
    in_parallel(lambda one: _store(place, (*one.parts, one.manifest)), own, CONNECTIONS)
    subjects: dict[Digest, list[Manifest]] = {}
    for one in own:
        subjects.setdefault(one.subject, []).append(one.manifest)
    in_parallel(lambda item: _enlist(place, *item), subjects.items(), CONNECTIONS // 2)
    in_parallel(lambda one: _tag(place, one), [one for one in referrers if one.tag], CONNECTIONS)


def _store(place: Place, manifests: Iterable[Manifest]) -> None:
    for manifest in manifests:
        if not place.registry.resolve(place.repository, str(manifest.digest)):
            place.registry.put_manifest(place.repository, str(manifest.digest), manifest)


def _enlist(place: Place, subject: Digest, manifests: list[Manifest]) -> None:
    """Check that the registry lists them by its API; in one that lacks it, add them to the fallback tag."""
    wanted = {one.digest for one in manifests}
    there, has_api = listed(place, subject)
    if has_api:
        what = f"{place.registry.path(place.repository)}@{subject}"
        place.registry.confirm(what, lambda: wanted <= set(place.registry.referrers(place.repository, subject) or ()))
    elif not wanted <= there:
        tag = fallback_tag(subject)
        _extend(place, tag, lambda index: _index_change(place, tag, index, manifests))


def _tag(place: Place, one: Referrer) -> None:
    _store(place, one.parts)
    _extend(place, one.tag, lambda there: _tag_change(there, one))


def _extend(place: Place, tag: str, change: Callable[[Manifest | None], tuple[Manifest, bytes] | None]) -> None:
    """Point a tag that several runs extend at what ``change`` makes of it, until ``change`` returns None for what is there.

    ``change`` returns a manifest and its config, which is uploaded first unless it is empty.
    """
    registry, repository = place.registry, place.repository
    for _turn in range(TURNS):
        there = registry.find_manifest(repository, tag)
        changed = change(there)
        if changed is None:
            return
        manifest, config = changed
        if config and manifest.config:
            registry.upload(repository, manifest.config, partial(iter, [config]))
        registry.put_tag(repository, tag, manifest, there.digest if there else None)
    raise RegistryError(
        _("other runs change {image}:{tag} again and again", image=place.name, tag=tag),
        _("run it again when they have ended"),
    )


def _index_change(
    place: Place, tag: str, index: Manifest | None, manifests: list[Manifest]
) -> tuple[Manifest, bytes] | None:
    """Return a fallback index with ``manifests`` beside the entries that it has, None if it has them all."""
    entries: list[dict[str, Any]] = []
    if index:
        listed = _children(place, tag, index)
        entries = maps(index.document, "manifests")
        if {one.digest for one in manifests} <= set(listed):
            return None
        # A registry refuses an index that lists what was deleted.
        there = in_parallel(lambda one: place.registry.resolve(place.repository, str(one)), listed, CONNECTIONS)
        entries = [entry for entry, digest in zip(entries, there) if digest]
    known = {entry.get("digest") for entry in entries}
    entries += [_entry(one) for one in manifests if str(one.digest) not in known]
    return _made(OCI_INDEX, {"manifests": entries}), b""


def _entry(manifest: Manifest) -> dict[str, Any]:
    """Return the descriptor of a referrer as the distribution spec wants it, with its type and annotations."""
    document = manifest.document
    config = pick(pick(document, "config", dict), "mediaType", str)
    kind = pick(document, "artifactType", str) or config
    notes = pick(document, "annotations", dict)
    return {
        "mediaType": manifest.media_type,
        "size": len(manifest.body),
        "digest": str(manifest.digest),
        **({"artifactType": kind} if kind else {}),
        **({"annotations": notes} if notes else {}),
    }


def _tag_change(there: Manifest | None, one: Referrer) -> tuple[Manifest, bytes] | None:
    """Return what one of cosign's tags must name to hold ``one``, too; None if it holds it.

    Each layer is a signature or an attestation of its own, so that those of both sides are kept. An SBOM is replaced, as
    cosign does.
    """
    if there is None or there.digest == one.manifest.digest:
        return (one.manifest, b"") if there is None else None
    ours, theirs = maps(one.manifest.document, "layers"), maps(there.document, "layers")
    more = [layer for layer in theirs if layer not in ours]
    if not more or one.tag.endswith(".sbom"):
        return one.manifest, b""
    if all(layer in theirs for layer in ours):
        return None
    layers = [*ours, *more]
    config = _config([str(layer.get("digest")) for layer in layers])
    kept = pick(one.manifest.document, "config", dict)
    named = {**kept, "size": len(config), "digest": f"sha256:{hashlib.sha256(config).hexdigest()}"}
    return _made(one.manifest.media_type, {**one.manifest.document, "config": named, "layers": layers}), config


def _config(digests: list[str]) -> bytes:
    """Return the image configuration that cosign writes for such layers, which are not compressed."""
    never = "0001-01-01T00:00:00Z"
    document = {
        "architecture": "",
        "created": never,
        "history": [{"created": never} for _digest in digests],
        "os": "",
        "rootfs": {"type": "layers", "diff_ids": digests},
        "config": {},
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _made(media_type: str, document: dict[str, Any]) -> Manifest:
    document = {"schemaVersion": 2, "mediaType": media_type, **document}
    return Manifest(json.dumps(document, separators=(",", ":")).encode(), media_type)
