"""Bring a version from the development to the production registry: by digest, without Docker, latest last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from container_pipeline.clients import state
from container_pipeline.clients.parallel import in_parallel
from container_pipeline.commands.registries import Registries
from container_pipeline.console import human_size
from container_pipeline.errors import RegistryError, StateError
from container_pipeline.execute import Run
from container_pipeline.i18n import _
from container_pipeline.model import Digest, RegistryAccess, Version
from container_pipeline.plan.promote import Facts, plan
from container_pipeline.plan.steps import MoveTag, Promote, Step

if TYPE_CHECKING:
    from container_pipeline.clients.registry import Manifest
    from container_pipeline.clients.registry.copy import Place, Survey


def run(run: Run, version: str | None = None) -> None:
    """Promote ``version``, by default the one built last."""
    registries = Registries(run)
    facts, image = _look(registries, _version(run, version))
    run.result.version, run.result.digest = str(facts.version), str(facts.digest or "")
    steps = plan(run.settings, facts)
    if facts.moved:
        run.console.warning(
            _(
                "{version} has been pushed anew as {other}; what was built is promoted: {digest}",
                version=facts.version,
                other=facts.development,
                digest=facts.digest,
            )
        )

    def perform(step: Step) -> None:
        if isinstance(step, Promote):
            carry_out(registries, step, image)
        elif isinstance(step, MoveTag):
            registries.move_tag(step, facts.digest)

    run.execute(steps, perform)
    if not steps:
        run.console.line(_("{version} is in production already, and is latest there", version=facts.version))
    if run.dry_run:
        moved = sum(_survey(registries, step, image).size for step in steps if isinstance(step, Promote))
        run.result.extra["bytes"] = moved
        run.console.result(_("{size} would be copied", size=human_size(moved)))


def carry_out(registries: Registries, step: Promote, image: Manifest | None = None) -> None:
    """Copy what is missing, then let the tags name it, in their order; a version's tag is never moved.

    ``image`` is what the source was last seen to hold; it is asked again where that is not what the step promotes.
    """
    from container_pipeline.clients.registry.copy import copy

    source, target = _places(registries, step)
    found = _survey(registries, step, image)
    console = registries.run.console
    console.detail(_("{size} in {count} blobs to copy", size=human_size(found.size), count=len(found.missing)))
    with console.task(_("copying"), found.size) as task:
        copy(source, target, found, task)
    for tag in step.tags:
        if tag != "latest":
            _refuse_another(target, tag, found.image.digest)
        target.registry.put_manifest(target.repository, tag, found.image)
        registries.run.result.went_to(step.target.with_tag(tag))
    registries.run.result.digest = str(found.image.digest)


def _version(run: Run, version: str | None) -> Version:
    if version:
        return Version(version)
    built = state.read(run.settings.project)
    if built is None or built.image != str(run.settings.repository):
        raise StateError(
            _("no version of {repository} has been built here", repository=run.settings.repository),
            _("name one with --version V; `container-pipeline images` lists them"),
        )
    return Version(built.version)


def _look(registries: Registries, version: Version) -> tuple[Facts, Manifest | None]:
    """Ask both registries, at once, what they name; return what development's tag stands for, too."""
    settings = registries.run.settings
    repository = settings.repository
    development, production = settings.access("development"), settings.access("production")
    found: list[Manifest | None] = []

    def ask(question: tuple[RegistryAccess, str]) -> Digest | None:
        access, tag = question
        if access is production:
            return registries.registry(access).resolve(repository, tag)
        image = registries.registry(access).find_manifest(repository, tag)
        found.append(image)
        return image.digest if image else None

    questions = ((development, str(version)), (production, str(version)), (production, "latest"))
    answers = in_parallel(ask, questions, len(questions))
    return Facts(version, _built(registries.run, version), *answers), found[0]


def _built(run: Run, version: Version) -> Digest | None:
    built = state.read(run.settings.project)
    if built and built.digest and (built.image, built.version) == (str(run.settings.repository), str(version)):
        return Digest(built.digest)
    return None


def _places(registries: Registries, step: Promote) -> tuple[Place, Place]:
    from container_pipeline.clients.registry.copy import Place

    return (
        Place(registries.registry(step.source_access), step.source.repository),
        Place(registries.registry(step.target_access), step.target.repository),
    )


def _survey(registries: Registries, step: Promote, image: Manifest | None) -> Survey:
    from container_pipeline.clients.registry.copy import survey

    source, target = _places(registries, step)
    if image is None or image.digest != step.digest:
        image = source.registry.manifest(source.repository, str(step.digest or step.source.tag))
    return survey(source, target, image)


def _refuse_another(target: Place, tag: str, digest: Digest) -> None:
    """Look once more before the tag is set: another run may have set it since the plan was made."""
    there = target.registry.resolve(target.repository, tag)
    if there not in (None, digest):
        raise RegistryError(
            _(
                "{image} is already {there} in production, not {digest}: a version never changes its meaning",
                image=f"{target.registry.access.registry}/{target.repository}:{tag}",
                there=there,
                digest=digest,
            ),
            _("build a new version and promote that"),
        )
