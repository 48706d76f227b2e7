"""Plans the steps of docker.sh's commands, given the images in engine and registries.

The end state is that of docker.sh, with fewer steps: what a registry already holds is never pushed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from container_pipeline.errors import EngineError, PipelineError, RegistryError, SettingsError, StateError
from container_pipeline.i18n import _
from container_pipeline.model import ImageRef, RegistryAccess, Version
from container_pipeline.plan.steps import MoveTag, Promote, Push, Step, Tag
from container_pipeline.settings import Settings

_DEV = ("push", "tag-latest", "push-latest")
_PROD = ("tag-prod", "push-prod", "tag-prod-latest", "push-prod-latest")
#: Command → docker.sh's commands, in order. "build?" builds if there is no version yet.
WORDS: dict[str, tuple[str, ...]] = {
    **{word: (word,) for word in ("build", *_DEV, *_PROD)},
    "pipeline": ("build?", *_DEV),
    "pipeline-prod": ("build?", *_PROD),
    "pipeline-all": ("build?", *_DEV, *_PROD),
    "pipeline-rebuild": ("build", *_DEV),
    "pipeline-prod-rebuild": ("build", *_PROD),
    "pipeline-all-rebuild": ("build", *_DEV, *_PROD),
}
#: Placeholder for the id of the image that the plan itself will build.
NEW = "new"


@dataclass(frozen=True)
class Build(Step):
    """Build the image and record the version."""

    name: ClassVar[str] = "build"
    image: ImageRef

    def describe(self) -> str:
        return _("build {image}", image=self.image)


@dataclass(frozen=True)
class Keep(Step):
    """Nothing to do: the registry's version already is this image."""

    name: ClassVar[str] = "keep"
    image: ImageRef
    access: RegistryAccess

    def describe(self) -> str:
        return _("{image} is already in the registry", image=self.image)


@dataclass(frozen=True)
class Sign(Step):
    """Sign what a registry holds as ``image``, by digest, with the private key in ``key``, a path.

    ``again``: an earlier run pushed it, and may have signed it.
    """

    name: ClassVar[str] = "sign"
    image: ImageRef
    access: RegistryAccess
    key: str
    again: bool = False

    def describe(self) -> str:
        return _("sign {image} with {key}", image=self.image, key=self.key.rpartition("/")[2])


@dataclass(frozen=True)
class Attach(Step):
    """Attach an SBOM to what a registry holds as ``image``; ``again`` as in ``Sign``."""

    name: ClassVar[str] = "sbom"
    image: ImageRef
    access: RegistryAccess
    again: bool = False

    def describe(self) -> str:
        return _("attach an SBOM to {image}", image=self.image)


@dataclass
class ImageFacts:
    """The facts for a plan.

    ``engine`` maps names to image ids; ``registries`` maps names to ids of the images in registries. A missing name
    is missing there.
    """

    version: Version | None
    new_version: Version | None = None
    engine: dict[str, str] = field(default_factory=dict)
    registries: dict[str, str] = field(default_factory=dict)


@dataclass
class Plan:
    """Steps in order; ``refusal`` is the error that stops the command after them, as in docker.sh."""

    steps: list[Step]
    refusal: PipelineError | None = None


def nothing_built() -> StateError:
    return StateError(
        _("nothing has been built here yet"), _("run `{command}` first", command="container-pipeline build")
    )


def another_image(image: ImageRef) -> RegistryError:
    """Return the error for a version in a registry that is a different image."""
    return RegistryError(
        _("the registry holds another image as {image}, and a version never changes", image=image),
        _("run `{command}` to get a new version", command="container-pipeline build"),
    )


def plan(words: Sequence[str], settings: Settings, facts: ImageFacts) -> Plan:
    """Plan docker.sh's commands ``words``."""
    made = Plan([])
    # By itself each of docker.sh's words does as it is told.
    planner = _Planner(settings, facts, forward=len(words) > 1)
    if not settings.values.latest:
        if len(words) == 1 and words[0].endswith("latest"):
            made.refusal = SettingsError(
                _("{word} writes `latest`, and `latest: false` is set", word=words[0]),
                _("remove `latest: false` where the registry lets tags move"),
            )
        words = [word for word in words if not word.endswith("latest")]
    for word in words:
        try:
            made.steps.extend(planner.step(word))
        except PipelineError as error:
            made.refusal = error
            break
    return made


class _Planner:
    """Plans the commands in turn, and tracks what each one changes for the later ones."""

    def __init__(self, settings: Settings, facts: ImageFacts, *, forward: bool) -> None:
        self._settings = settings
        self._forward = forward
        self._version = facts.version
        self._new_version = facts.new_version
        self._engine = dict(facts.engine)
        self._registries = dict(facts.registries)

    def step(self, word: str) -> list[Step]:
        if word == "build" or (word == "build?" and self._version is None):
            return [self._build()]
        if word == "build?":
            return []
        verb, _dash, rest = word.partition("-")
        production = rest.startswith("prod")
        access = self._access(production, login=verb == "push")
        built = self._built()
        target = built.in_registry(access.registry)
        if word.endswith("latest"):
            target = target.with_tag("latest")
        if verb == "tag":
            return [self._tag(built, target)]
        made = self._push(built, target, access)
        return [made, *self._vouch(made)]

    def _access(self, production: bool, login: bool) -> RegistryAccess:
        """Return the registry of a command; a production command requires both registries, as in docker.sh."""
        development = self._settings.access("development", login=login and not production)
        return self._settings.access("production", login=login) if production else development

    def _built(self) -> ImageRef:
        access = self._settings.access("development")
        repository = self._settings.repository
        if self._version is None:
            raise nothing_built()
        return ImageRef(access.registry, repository, str(self._version))

    def _build(self) -> Step:
        access = self._settings.access("development")
        self._version = self._new_version
        image = ImageRef(access.registry, self._settings.repository, str(self._version))
        self._engine[str(image)] = NEW
        return Build(image)

    def _tag(self, source: ImageRef, target: ImageRef) -> Step:
        self._engine[str(target)] = self._in_engine(source)
        return Tag(source, target)

    def _push(self, built: ImageRef, target: ImageRef, access: RegistryAccess) -> Step:
        """Choose the shortest way to make ``target`` in its registry the same image as in the engine."""
        image = self._in_engine(target)
        held = self._registries.get(str(target))
        version_there = built.in_registry(access.registry)
        if target.tag != "latest" and held:
            if held != image:
                raise another_image(target)
            return Keep(target, access)
        self._registries[str(target)] = image
        if self._registries.get(str(version_there)) == image and target != version_there:
            return MoveTag(version_there, target.tag, access, self._forward)
        if built.registry != access.registry and self._registries.get(str(built)) == image:
            source = self._settings.access("development")
            return Promote(built, target, (target.tag,), source, access)
        if access.role == "production" and self._settings.values.verify:
            raise SettingsError(
                _("{image} would reach production without a check of its signature", image=target),
                _("push it to the development registry and sign it there first"),
            )
        return Push(target, access)

    def _vouch(self, made: Step) -> list[Step]:
        """Return what is attached to an image that has come to a registry; a promotion carries what the image has.

        The signature is the last: what is signed is complete.
        """
        values = self._settings.values
        if not isinstance(made, (Push, Keep)):
            return []
        again = isinstance(made, Keep)
        steps: list[Step] = [Attach(made.image, made.access, again)] if values.sbom else []
        return [*steps, *([Sign(made.image, made.access, values.sign["key"], again)] if values.sign else [])]

    def _in_engine(self, image: ImageRef) -> str:
        found = self._engine.get(str(image))
        if found:
            return found
        if image.tag == "latest":
            command = "tag-prod-latest" if image.registry != self._built().registry else "tag-latest"
        elif image != self._built():
            command = "tag-prod"
        elif str(image) in self._registries:
            raise EngineError(
                _("{image} is not in the engine", image=image), _("`docker pull {image}` fetches it", image=image)
            )
        else:
            command = "build"
        raise EngineError(
            _("{image} is not in the engine", image=image),
            _("run `{command}` first", command=f"container-pipeline {command}"),
        )
