"""The registry clients of one run."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from container_pipeline.execute import Run
from container_pipeline.model import Digest, RegistryAccess
from container_pipeline.plan.steps import MoveTag

if TYPE_CHECKING:
    from container_pipeline.clients.registry import RegistryClient


class Registries:
    """Clients are created on first use and kept for the run, with their connections and tokens."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._clients: dict[RegistryAccess, RegistryClient] = {}
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
        registry.put_manifest(step.source.repository, step.tag, manifest)
        self.run.result.went_to(step.source.with_tag(step.tag))
