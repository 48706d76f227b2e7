"""Executes the steps on images: the one place that connects steps with clients."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from container_pipeline.errors import EngineError, RegistryError
from container_pipeline.execute import Performers, Run
from container_pipeline.execute.registries import Registries
from container_pipeline.i18n import _
from container_pipeline.model import Digest, ImageRef, RegistryAccess
from container_pipeline.plan.image import Attach, Build, Keep, Sign, another_image
from container_pipeline.plan.run import Start
from container_pipeline.plan.steps import MoveTag, Promote, Push, Tag
from container_pipeline.project import state

if TYPE_CHECKING:
    from container_pipeline.clients.engine import Engine, Image


class Actions(Registries):
    """Executes steps for one run. Clients are created on first use and kept for the run."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        #: Digests that this run read from registries; tags that move meanwhile do not change what is promoted.
        self.digests: dict[ImageRef, Digest] = {}

    @cached_property
    def engine(self) -> Engine:
        from container_pipeline.clients.engine import Engine

        return Engine(self.run.console)

    @property
    def performers(self) -> Performers:
        """Step class → function that executes it; each raises a PipelineError that says what failed."""
        return {
            Build: self._build,
            Tag: self._tag,
            Push: self._push,
            Start: self._start,
            Keep: self._keep,
            Sign: self._sign,
            Attach: self._attach,
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
            # It did not exist when the plan was made: another build pushed this version meanwhile.
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

    def _sign(self, step: Sign) -> None:
        from container_pipeline.execute import signing

        signing.sign(self, step, self.digests[step.image])

    def _attach(self, step: Attach) -> None:
        from container_pipeline.execute import signing

        signing.attach(self, step, self.digests[step.image])

    def _move_tag(self, step: MoveTag) -> None:
        self.move_tag(step, self.digests.get(step.source))

    def _promote(self, step: Promote) -> None:
        from container_pipeline.execute import promotion, verification

        registry = self.registry(step.source_access)
        seen = step.digest or self.digests.get(step.source)
        seen = seen or registry.resolve(step.source.repository, step.source.tag)
        if seen:
            verification.verify(self.run, step.source_access, seen)
        promotion.promote(self, replace(step, digest=seen))
        if seen:
            self.digests[step.target] = seen

    def held(self, image: ImageRef, access: RegistryAccess, ours: Image) -> str:
        """Return the id of the image that a registry holds as ``image``, or "".

        If the registry's current digest is that of ``ours``, its manifest need not be fetched.
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
        """Read the digest back from the registry, and record it if it is the version's."""
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
    """Return the error for a container that did not exit with 0; the command exits with the same code."""
    error = EngineError(_("the container ended with exit code {code}", code=code))
    error.exit_code = code
    return error
