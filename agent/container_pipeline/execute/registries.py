"""The registry clients of one run."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from container_pipeline.execute import Run
from container_pipeline.model import Digest, ImageRef, RegistryAccess, Repository, build_time
from container_pipeline.plan.steps import MoveTag
from container_pipeline.project import state

if TYPE_CHECKING:
    from container_pipeline.clients.registry import Manifest, RegistryClient
    from container_pipeline.execute.latest import Mover


class Registries:
    """Clients are created on first use and kept for the run, with their connections and tokens."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._clients: dict[RegistryAccess, RegistryClient] = {}
        self._latest: dict[tuple[RegistryAccess, Repository], Mover] = {}
        self._lock = threading.Lock()

    def registry(self, access: RegistryAccess) -> RegistryClient:
        """Return the client of one registry; all threads share it."""
        from container_pipeline.clients.registry import RegistryClient

        with self._lock:
            if access not in self._clients:
                self._clients[access] = RegistryClient(access, self.run.console.line)
            return self._clients[access]

    def move_tag(self, step: MoveTag, digest: Digest | None = None) -> None:
        """Move a tag to ``digest`` if known, else to the current manifest of the step's source."""
        registry = self.registry(step.access)
        manifest = registry.manifest(step.source.repository, str(digest or step.source.tag))
        if step.forward:
            self.move_latest(step.source, step.access, manifest)
            return
        registry.put_manifest(step.source.repository, step.tag, manifest)
        self.run.result.went_to(step.source.with_tag(step.tag))

    def latest(self, access: RegistryAccess, repository: Repository) -> Mover:
        """Return what moves ``latest`` of a repository, the same one for the run."""
        from container_pipeline.execute.latest import Mover

        return self._latest.setdefault((access, repository), Mover(self.run, self.registry(access), repository))

    def move_latest(self, image: ImageRef, access: RegistryAccess, manifest: Manifest) -> None:
        """Point ``latest`` at the version that ``manifest`` is, unless it names one that was built later."""
        built, latest = state.read(self.run.settings.project), self.latest(access, image.repository)
        if built and built.digest == str(manifest.digest):
            latest.created = build_time(built.created)
        if latest.move(manifest):
            self.run.result.went_to(image.with_tag("latest"))
