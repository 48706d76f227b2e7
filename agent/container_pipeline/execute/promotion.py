"""Copies a version between registries by digest: missing blobs first, tags last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from container_pipeline.console import human_size
from container_pipeline.errors import RegistryError
from container_pipeline.execute.registries import Registries
from container_pipeline.i18n import _
from container_pipeline.model import Digest
from container_pipeline.plan.steps import Promote

if TYPE_CHECKING:
    from container_pipeline.clients.registry import Manifest
    from container_pipeline.clients.registry.copy import Place, Survey


def promote(registries: Registries, step: Promote, image: Manifest | None = None) -> None:
    """Copy missing blobs, then set the tags in order; the tag of a version is never moved.

    ``image`` is the manifest last read from the source; it is read again if the step promotes another digest.
    """
    from container_pipeline.clients.registry.copy import copy

    source, target = _places(registries, step)
    found = survey(registries, step, image)
    console = registries.run.console
    console.detail(_("{size} in {count} blobs to copy", size=human_size(found.size), count=len(found.missing)))
    with console.task(_("copying"), found.size) as task:
        copy(source, target, found, task)
    for tag in step.tags:
        if tag == "latest" and step.forward:
            registries.move_latest(step.target, step.target_access, found.image)
            continue
        if tag != "latest":
            _refuse_another(target, tag, found.image.digest)
        target.registry.put_manifest(target.repository, tag, found.image)
        registries.run.result.went_to(step.target.with_tag(tag))
    registries.run.result.digest = str(found.image.digest)


def _places(registries: Registries, step: Promote) -> tuple[Place, Place]:
    from container_pipeline.clients.registry.copy import Place

    return (
        Place(registries.registry(step.source_access), step.source.repository),
        Place(registries.registry(step.target_access), step.target.repository),
    )


def survey(registries: Registries, step: Promote, image: Manifest | None) -> Survey:
    """Return the parts of the image that the target lacks; ``image`` as for ``promote``."""
    from container_pipeline.clients.registry import copy

    source, target = _places(registries, step)
    if image is None or image.digest != step.digest:
        image = source.registry.manifest(source.repository, str(step.digest or step.source.tag))
    return copy.survey(source, target, image)


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
