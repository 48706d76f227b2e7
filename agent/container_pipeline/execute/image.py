"""How each step of an image's way is carried out: the one place where steps meet clients."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from container_pipeline.errors import EngineError, RegistryError
from container_pipeline.execute import Performers, Run
from container_pipeline.execute.registries import Registries
from container_pipeline.i18n import _
from container_pipeline.model import Digest, ImageRef, RegistryAccess
from container_pipeline.plan.image import Build, Keep, another_image
from container_pipeline.plan.run import Start
from container_pipeline.plan.steps import MoveTag, Promote, Push, Tag
from container_pipeline.project import state

if TYPE_CHECKING:
    from container_pipeline.clients.engine import Engine, Image


class Actions(Registries):
    """Carries out steps for one run. Clients are made when first needed and kept for the run."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        #: What this run saw a registry name: tags that move meanwhile do not change what is promoted.
        self.digests: dict[ImageRef, Digest] = {}

    @cached_property
    def engine(self) -> Engine:
        from container_pipeline.clients.engine import Engine

        return Engine(self.run.console)

    @property
    def performers(self) -> Performers:
        """How each step is carried out; each raises the PipelineError that says what failed."""
        return {
            Build: self._build,
            Tag: self._tag,
            Push: self._push,
            Start: self._start,
            Keep: self._keep,
            MoveTag: self._move_tag,
            Promote: self._promote,
        }

    def _build(self, step: Build) -> None:
        from container_pipeline.execute import building

        building.build(self.run, self.engine, step.image)

    def _tag(self, step: Tag) -> None:
        self.engine.tag(step.source, step.target)

    def _push(self, step: Push) -> None:
        if step.image.tag != "latest" and self.registry(step.access).resolve(step.image.repository, step.image.tag):
            # The plan saw none: another build pushed this version meanwhile.
            raise another_image(step.image)
        digest = self.engine.push(step.image, step.access)
        self._arrived(step.image, step.access, digest)

    def _start(self, step: Start) -> None:
        from container_pipeline.clients import container

        if self.engine.image(step.image) is None:
            self.engine.pull(step.image, self.run.settings.access("development"))
        console = self.run.console
        code = container.run(self.engine, step.image, step.options, console.out, console.stream)
        if code:
            raise _ended(code)

    def _keep(self, step: Keep) -> None:
        self._arrived(step.image, step.access, "")

    def _move_tag(self, step: MoveTag) -> None:
        self.move_tag(step, self.digests.get(step.source))

    def _promote(self, step: Promote) -> None:
        from container_pipeline.execute import promotion

        seen = step.digest or self.digests.get(step.source)
        promotion.promote(self, replace(step, digest=seen))
        if seen:
            self.digests[step.target] = seen

    def held(self, image: ImageRef, access: RegistryAccess, ours: Image) -> str:
        """Return the id of the image that a registry holds as ``image``, "" where it holds none.

        Where a registry gave ``ours`` the digest that it names now, its manifest need not be asked for.
        """
        registry = self.registry(access)
        digest = registry.resolve(image.repository, image.tag)
        if digest is None:
            return ""
        self.digests[image] = digest
        if str(digest) in {ours.id, *ours.digests}:
            return ours.id
        config = registry.manifest(image.repository, str(digest)).config
        return str(config.digest if config else digest)

    def _arrived(self, image: ImageRef, access: RegistryAccess, expected: str) -> None:
        """Read the digest back from the registry, and write it down where it is the version's."""
        found = self.registry(access).resolve(image.repository, image.tag)
        if found is None or expected not in ("", str(found)):
            raise RegistryError(
                _("{image} did not arrive: the registry has {digest}", image=image, digest=found or _("nothing")),
                _("push it again"),
            )
        self.digests[image] = found
        self.run.console.line(f"{image}@{found}")
        self.run.result.went_to(image)
        if image.tag == "latest":
            return
        self.run.result.digest = str(found)
        state.write_digest(self.run.settings.project, image.tag, str(found))


def _ended(code: int) -> EngineError:
    """Return the error of a container that did not end with 0; its exit code is the command's."""
    error = EngineError(_("the container ended with exit code {code}", code=code))
    error.exit_code = code
    return error
