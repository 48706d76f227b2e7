"""Plans the promotion of a version, given the digests in both registries."""

from __future__ import annotations

from dataclasses import dataclass

from container_pipeline.errors import RegistryError
from container_pipeline.i18n import _
from container_pipeline.model import Digest, Version
from container_pipeline.plan.steps import Carry, MoveTag, Promote, Step
from container_pipeline.settings import Settings


@dataclass(frozen=True)
class PromotionFacts:
    """The digest of each of four names; None for a missing one.

    ``built`` is the digest that the build's push returned; ``development`` and ``production`` are the digests of the
    version's tag in each registry, ``latest`` that of `latest` in production. ``lacks_referrers``: production holds the
    image, and not all that refers to it in development, such as a signature that came later.
    """

    version: Version
    built: Digest | None = None
    development: Digest | None = None
    production: Digest | None = None
    latest: Digest | None = None
    lacks_referrers: bool = False
    #: The digest of the image without BuildKit's attestations, where they are left out, and theirs.
    reduced: Digest | None = None
    left_out: frozenset[Digest] = frozenset()
    #: The manifests of the image in development.
    parts: frozenset[Digest] = frozenset()

    @property
    def digest(self) -> Digest | None:
        """The digest that production gets."""
        return self.reduced or self.source or self.production

    @property
    def source(self) -> Digest | None:
        """The digest in development: that of the build, whatever happened to the tag since."""
        return self.built or self.development

    @property
    def moved(self) -> bool:
        """Whether the development tag is a different image from the one that was built."""
        return bool(self.built and self.development and self.built != self.development)


def plan(settings: Settings, facts: PromotionFacts, *, forward: bool = True) -> list[Step]:
    """Plan a promotion; raises RegistryError if the version is missing or is a different image in production."""
    development, production = settings.access("development"), settings.access("production")
    source = settings.image(development, str(facts.version))
    target = settings.image(production, str(facts.version))
    if facts.digest is None:
        raise RegistryError(
            _("{image} is not in the registry", image=source),
            _(
                "`container-pipeline images` lists what the registry holds; `container-pipeline push` pushes the last build"
            ),
        )
    if facts.production is not None and facts.production != facts.digest:
        raise RegistryError(
            _(
                "production already holds {image} as {there}, not {digest}, and a version never changes",
                image=target,
                there=facts.production,
                digest=facts.digest,
            ),
            _("it was promoted without attestations; do so again with --without-attestations")
            if facts.production in facts.parts
            else _("build a new version and promote that"),
        )
    if facts.production is None:
        tags = (str(facts.version), "latest") if settings.values.latest else (str(facts.version),)
        left_out = facts.left_out
        return [
            Promote(source, target, tags, development, production, facts.digest, forward=forward, left_out=left_out)
        ]
    steps: list[Step] = [Carry(source, target, development, production)] if facts.lacks_referrers else []
    if settings.values.latest and facts.latest != facts.digest:
        steps.append(MoveTag(target, "latest", production, forward=forward))
    return steps
