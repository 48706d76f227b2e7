"""Copy a version from the development to the production registry by digest, without Docker; move `latest` last."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from container_pipeline.console import human_size
from container_pipeline.errors import RegistryError, SettingsError, StateError
from container_pipeline.execute import Run, promotion, verification
from container_pipeline.execute.registries import Registries
from container_pipeline.i18n import _
from container_pipeline.model import Digest, RegistryAccess, Version
from container_pipeline.parallel import in_parallel
from container_pipeline.plan.promote import PromotionFacts, plan
from container_pipeline.plan.steps import Carry, MoveTag, Promote
from container_pipeline.project import state
from container_pipeline.result import Approved, Copied

if TYPE_CHECKING:
    from container_pipeline.clients.registry import Manifest
    from container_pipeline.clients.registry.referrers import Referrer


def run(
    run: Run, version: str | None = None, *, force_latest: bool = False, without_attestations: bool = False
) -> None:
    """Promote ``version`` (default: the one built last).

    ``force_latest``: point `latest` at it even if `latest` names an image that was built later.
    ``without_attestations``: leave out what BuildKit attached to the image; production then has another digest.
    """
    if force_latest and not run.settings.values.latest:
        raise SettingsError(
            _("--force-latest moves `latest`, and `latest: false` is set"),
            _("remove `latest: false` where the registry lets tags move"),
        )
    if run.settings.approved_by:
        run.result.add(Approved(approved_by=run.settings.approved_by))
    verification.check(run.settings)
    registries = Registries(run)
    facts, image = _look(registries, _version(run, version))
    facts, image = _reduce(registries, facts, image) if without_attestations else (facts, image)
    later = _referrers(registries, facts, image)
    facts = replace(facts, lacks_referrers=bool(later))
    run.result.version, run.result.digest = str(facts.version), str(facts.digest or "")
    steps = plan(run.settings, facts, forward=not force_latest)
    if facts.moved:
        run.console.warning(
            _(
                "{version} has been pushed again as {other}; the image that was built is promoted: {digest}",
                version=facts.version,
                other=facts.development,
                digest=facts.source,
            )
        )

    if steps and facts.digest:
        _verify(run, facts, later=bool(later), is_new=bool(facts.reduced and image and image.children))
    if steps and facts.latest and not run.dry_run:
        registries.latest(run.settings.access("production"), run.settings.repository).look_ahead()
    run.execute(
        steps,
        {
            Promote: lambda step: promotion.promote(registries, step, image),
            Carry: lambda step: promotion.carry(registries, step, later),
            MoveTag: lambda step: registries.move_tag(step, facts.digest),
        },
    )
    _record(run, facts)
    if not steps:
        there = _("{version} is already in production", version=facts.version)
        if run.settings.values.latest:
            there = _("{version} is already in production, and is `latest` there", version=facts.version)
        run.console.line(there)
    if run.dry_run:
        cargo = [promotion.survey(registries, step, image) for step in steps if isinstance(step, Promote)]
        promotion.show(registries, [*later, *(one for each in cargo for one in each.referrers)])
        moved = sum(each.survey.size for each in cargo)
        run.result.add(Copied(bytes=moved))
        run.console.result(_("{size} would be copied", size=human_size(moved)))


def _reduce(
    registries: Registries, facts: PromotionFacts, image: Manifest | None
) -> tuple[PromotionFacts, Manifest | None]:
    """Return facts and manifest of the image without BuildKit's attestations: the only one that is left, or a new index."""
    if facts.source is None:
        return facts, image  # development has it no more
    run, source = registries.run, facts.source
    registry, repository = registries.registry(run.settings.access("development")), run.settings.repository
    if image is None or image.digest != source:
        image = registry.manifest(repository, str(source))
    left_out = image.attestations
    if not left_out:
        run.console.line(_("BuildKit attached nothing to {version}", version=facts.version))
        return facts, image
    if not image.images:
        raise RegistryError(
            _("{version} has nothing but attestations", version=facts.version), _("build and push the image again")
        )
    alone = len(image.images) == 1
    rest = registry.manifest(repository, str(image.images[0])) if alone else image.without(left_out)
    run.console.line(
        _(
            "production gets {digest}, not {source} as in development: BuildKit's attestations are left out",
            digest=rest.digest,
            source=source,
        )
    )
    return replace(facts, reduced=rest.digest, left_out=left_out), rest


def _record(run: Run, facts: PromotionFacts) -> None:
    """Record for a deploy from here that production has another digest."""
    if facts.reduced and not run.dry_run:
        state.write_promoted(run.settings.project, str(facts.version), str(facts.reduced))


def _verify(run: Run, facts: PromotionFacts, *, later: bool, is_new: bool) -> None:
    """Refuse what none of the keys signed, before anything is written.

    ``later``: signatures are still to go to production. ``is_new``: it is an index that development does not have.
    """
    if not run.settings.values.verify or facts.digest is None:
        return
    # What production already holds is asked there; what is still to go there, at its source.
    there = facts.production == facts.digest
    role = "production" if there and (is_new or not later) else "development"
    if is_new and not there:
        raise RegistryError(
            _("without its attestations, {version} is a new index, which nobody signed", version=facts.version),
            _("build it with `attest: false` instead, and sign that"),
        )
    try:
        verification.verify(run, run.settings.access(role), facts.digest)
    except RegistryError as error:
        if not facts.reduced:
            raise
        hint = _("this is what production gets without attestations: sign it, too, with `cosign sign --recursive`")
        raise RegistryError(error.message, hint) from error


def _referrers(registries: Registries, facts: PromotionFacts, image: Manifest | None) -> tuple[Referrer, ...]:
    """Return what refers to an image that production holds already, and is not there yet; else the copy finds it."""
    if facts.digest is None or facts.production != facts.digest:
        return ()
    settings = registries.run.settings
    source, target = settings.access("development"), settings.access("production")
    if image is None or image.digest != facts.digest:
        image = registries.registry(source).find_manifest(settings.repository, str(facts.digest))
    tag = str(facts.version)
    step = Carry(settings.image(source, tag), settings.image(target, tag), source, target, facts.left_out)
    return promotion.lacking(registries, step, image) if image else ()


def _version(run: Run, version: str | None) -> Version:
    if version:
        return Version(version)
    built = state.read(run.settings.project)
    if built is None or built.image != str(run.settings.repository):
        raise StateError(
            _("no version of {repository} has been built here", repository=run.settings.repository),
            _("pass one with --version V; `container-pipeline images` lists them"),
        )
    return Version(built.version)


def _look(registries: Registries, version: Version) -> tuple[PromotionFacts, Manifest | None]:
    """Query both registries in parallel; also return the manifest of the development tag."""
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

    questions = [(development, str(version)), (production, str(version))]
    if settings.values.latest:
        questions.append((production, "latest"))
    here, there, latest = [*in_parallel(ask, questions, len(questions)), None][:3]
    parts = frozenset(child.digest for child in found[0].children) if found[0] else frozenset()
    return PromotionFacts(version, _built(registries.run, version), here, there, latest, parts=parts), found[0]


def _built(run: Run, version: Version) -> Digest | None:
    built = state.read(run.settings.project)
    if built and built.digest and (built.image, built.version) == (str(run.settings.repository), str(version)):
        return Digest(built.digest)
    return None
