"""How ``latest`` of a registry moves forward: to an image that was built later than the one that it names, and never back.

Registries cannot compare and swap. So one run on this machine at a time looks, writes and looks again, and puts right what another machine's run did in between.
What is left: a run on another machine that writes between our look and our write is not seen by us; it sees us when it looks again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from container_pipeline.clients.registry import Manifest, RegistryClient
from container_pipeline.errors import RegistryError
from container_pipeline.execute import Run
from container_pipeline.i18n import _
from container_pipeline.model import CREATED, Digest, Repository, build_time
from container_pipeline.outside import pick
from container_pipeline.parallel import in_background
from container_pipeline.project import state

LATEST = "latest"
#: How often another run may come in between before we give up.
TURNS = 5


@dataclass
class Mover:
    """Moves ``latest`` of one repository. ``created`` is when the new image was built, where the caller knows it."""

    run: Run
    registry: RegistryClient
    repository: Repository
    created: str = ""
    _ahead: Callable[[], tuple[Digest | None, str]] | None = None

    def look_ahead(self) -> None:
        """Begin to ask what ``latest`` names and how old that is, for a move that comes later."""
        self._ahead = in_background(self._look)

    def _look(self) -> tuple[Digest | None, str]:
        there = self.registry.find_manifest(self.repository, LATEST)
        return (there.digest, self._age(there)) if there else (None, "")

    def move(self, manifest: Manifest) -> bool:
        """Point ``latest`` at ``manifest``; False where it names an image that was built later. An age that is unknown stops nothing."""
        with state.alone(f"{self.registry.access.registry}/{self.repository}:{LATEST}"):
            look, self._ahead = self._ahead or self._look, None
            for _turn in range(TURNS):
                there, age = look()
                look = self._look
                if there == manifest.digest:
                    return True
                if age and self._is_newer(age, manifest):
                    return False
                # Since the look another run may have moved it.
                if self.registry.resolve(self.repository, LATEST) != there:
                    continue
                if self.registry.put_tag(self.repository, LATEST, manifest, there) == manifest.digest:
                    return True
        raise RegistryError(
            _("other runs move `latest` of {repository} again and again", repository=self.repository),
            _("run it again when they have ended"),
        )

    def _is_newer(self, age: str, manifest: Manifest) -> bool:
        self.created = self.created or self._age(manifest)
        if not self.created or age <= self.created:
            return False
        self.run.console.line(
            _(
                "`latest` in {registry} stays: it names an image that was built later ({time})",
                registry=self.registry.access.registry,
                time=age,
            )
        )
        return True

    def _age(self, manifest: Manifest) -> str:
        """Return when an image was built, "" where it does not say so or cannot be read; of an index, its first image."""
        try:
            if manifest.children:
                manifest = self.registry.manifest(self.repository, str(manifest.children[0].digest))
            if manifest.config is None:
                return ""
            config = self.registry.config(self.repository, manifest.config)
        except RegistryError as error:
            self.run.console.detail(error.message)
            return ""
        return build_time(pick(pick(config, "config", dict), "Labels", dict).get(CREATED))
