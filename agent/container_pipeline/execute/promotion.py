"""Copies a version between registries by digest: missing blobs first, then what refers to the image, tags last."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from container_pipeline.console import human_size
from container_pipeline.errors import RegistryError
from container_pipeline.execute.registries import Registries
from container_pipeline.i18n import _
from container_pipeline.model import Digest
from container_pipeline.parallel import in_background
from container_pipeline.plan.steps import Carry, Promote
from container_pipeline.project import state
from container_pipeline.result import CarriedAlong

if TYPE_CHECKING:
    from container_pipeline.clients.registry import Descriptor, Manifest
    from container_pipeline.clients.registry.copy import Place, Survey
    from container_pipeline.clients.registry.referrers import Referrer


@dataclass(frozen=True)
class Cargo:
    """What a promotion copies: the image's parts, all that refers to it, and the missing blobs of both."""

    survey: Survey
    referrers: tuple[Referrer, ...] = ()

    @property
    def layers(self) -> int:
        """Number of the image's layers that the target lacks."""
        configs = {one.config.digest for one in self.survey.manifests if one.config}
        layers = {blob.digest for one in self.survey.manifests for blob in one.blobs} - configs
        return sum(blob.digest in layers for blob in self.survey.missing)


def promote(registries: Registries, step: Promote, image: Manifest | None = None) -> None:
    """Copy missing blobs, then what refers to the image, then set the tags in order; the tag of a version is never moved.

    ``image`` is the manifest last read from the source; it is read again if the step promotes another digest.
    """
    from container_pipeline.clients.registry.copy import copy

    source, target = _places(registries, step)
    cargo = survey(registries, step, image)
    found = cargo.survey
    console = registries.run.console
    console.detail(_("{size} in {count} blobs to copy", size=human_size(found.size), count=len(found.missing)))
    with console.task(_("copying"), found.size) as task:
        copy(source, target, found, task)
    _attach(registries, target, cargo.referrers)
    told = told_of(cargo.layers, cargo.referrers)
    if told:
        console.line(_("copied {what}", what=told))
    for tag in step.tags:
        if tag == "latest" and step.forward:
            registries.move_latest(step.target, step.target_access, found.image)
            continue
        if tag != "latest":
            _refuse_another(target, tag, found.image.digest)
        target.registry.put_manifest(target.repository, tag, found.image)
        registries.run.result.went_to(step.target.with_tag(tag))
    registries.run.result.digest = str(found.image.digest)


def carry(registries: Registries, step: Carry, referrers: tuple[Referrer, ...]) -> None:
    """Copy what refers to an image that the target already has."""
    from container_pipeline.clients.registry.copy import Survey, copy

    source, target = _places(registries, step)
    found = Survey(tuple(part for one in referrers for part in one.manifests), _blobs(target, referrers, ()))
    with registries.run.console.task(_("copying"), found.size) as task:
        copy(source, target, replace(found, manifests=()), task)
    _attach(registries, target, referrers)
    registries.run.console.line(_("copied {what}", what=told_of(0, referrers)))


def _blobs(target: Place, referrers: tuple[Referrer, ...], known: Iterable[Descriptor]) -> tuple[Descriptor, ...]:
    """Return the blobs of ``referrers`` that the target lacks, besides ``known``."""
    from container_pipeline.clients.registry.copy import missing

    if not referrers:
        return ()
    absent = missing(target, [part for one in referrers for part in one.manifests])
    digests = {blob.digest for blob in known}
    return tuple(blob for blob in absent if blob.digest not in digests)


def _attach(registries: Registries, target: Place, referrers: tuple[Referrer, ...]) -> None:
    from container_pipeline.clients.registry.referrers import attach

    if referrers:
        # Lists of referrers cannot be compared and swapped: one run on this machine at a time extends them.
        with state.alone(f"{target.name} referrers"):
            attach(target, referrers)
        registries.run.result.add(CarriedAlong(carried=[_told(one) for one in referrers]))


def _told(one: Referrer) -> dict[str, str]:
    return {"kind": one.kind, "digest": str(one.manifest.digest), "subject": str(one.subject), "tag": one.tag}


def told_of(layers: int, referrers: Iterable[Referrer]) -> str:
    """Return what was copied, such as "3 layers, 1 signature, 1 SBOM"; "" if nothing was."""
    kinds = [one.kind for one in referrers]
    counts = [("layer", layers), *((kind, kinds.count(kind)) for kind in ("signature", "sbom", "attestation", "other"))]
    return ", ".join(_counted(kind, count) for kind, count in counts if count)


def _counted(kind: str, count: int) -> str:
    texts = {
        "layer": (_("1 layer"), _("{count} layers")),
        "signature": (_("1 signature"), _("{count} signatures")),
        "sbom": (_("1 SBOM"), _("{count} SBOMs")),
        "attestation": (_("1 attestation"), _("{count} attestations")),
        "other": (_("1 other artifact"), _("{count} other artifacts")),
    }
    return texts[kind][count > 1].format(count=count)


def show(registries: Registries, referrers: Iterable[Referrer]) -> None:
    """List for a dry run what would be copied beside the image."""
    for one in referrers:
        name = one.tag or str(one.manifest.digest)
        registries.run.console.result(_("copy the {kind} {name}", kind=kind_text(one.kind), name=name))
    registries.run.result.add(CarriedAlong(carried=[_told(one) for one in referrers]))


def kind_text(kind: str) -> str:
    return {
        "signature": _("signature"),
        "sbom": _("SBOM"),
        "attestation": _("attestation"),
        "other": _("other artifact"),
    }[kind]


def _places(registries: Registries, step: Carry | Promote) -> tuple[Place, Place]:
    from container_pipeline.clients.registry.copy import Place

    return (
        Place(registries.registry(step.source_access), step.source.repository),
        Place(registries.registry(step.target_access), step.target.repository),
    )


def survey(registries: Registries, step: Promote, image: Manifest | None) -> Cargo:
    """Return the parts of the image that the target lacks, and what refers to it; ``image`` as for ``promote``."""
    from container_pipeline.clients.registry import copy

    source, target = _places(registries, step)
    if image is None or image.digest != step.digest:
        image = source.registry.manifest(source.repository, str(step.digest or step.source.tag))
    first = {image.digest, *(child.digest for child in image.children)}
    referring = in_background(lambda: _find(registries, source, first, step.left_out))
    found = copy.survey(source, target, image)
    rest = {one.digest for one in found.manifests} - first
    referrers = (*referring(), *(_find(registries, source, rest, step.left_out) if rest else ()))
    more = _blobs(target, referrers, found.missing)
    return Cargo(replace(found, missing=(*found.missing, *more)), referrers)


def lacking(registries: Registries, step: Carry, image: Manifest) -> tuple[Referrer, ...]:
    """Return what refers to an image in the source, and not yet in the target."""
    from container_pipeline.clients.registry import referrers

    source, target = _places(registries, step)
    found = _find(registries, source, {image.digest, *(child.digest for child in image.children)}, step.left_out)
    return referrers.lacking(target, found) if found else ()


def _find(
    registries: Registries, source: Place, subjects: Iterable[Digest], left_out: Collection[Digest]
) -> tuple[Referrer, ...]:
    """Return what refers to ``subjects``; BuildKit's newest attestations do so, too, and may be left out."""
    from container_pipeline.clients.registry.referrers import find

    found = find(source, subjects, registries.run.console.warning)
    return tuple(one for one in found if not {one.manifest.digest, one.subject} & set(left_out))


def _refuse_another(target: Place, tag: str, digest: Digest) -> None:
    """Check again right before the tag is set: another run may have set it since the plan was made."""
    there = target.registry.resolve(target.repository, tag)
    if there not in (None, digest):
        raise RegistryError(
            _(
                "production already holds {image} as {there}, not {digest}, and a version never changes",
                image=f"{target.registry.access.registry}/{target.repository}:{tag}",
                there=there,
                digest=digest,
            ),
            _("build a new version and promote that"),
        )
