"""Push the version, and let latest be it where that is asked for."""

from __future__ import annotations

from container_pipeline.commands import pipeline
from container_pipeline.execute import Run


def run(run: Run, latest: bool = False) -> None:
    """Push the version that was built last; with ``latest``, tag it so here and in the registry."""
    pipeline.run(run, ("push", "tag-latest", "push-latest") if latest else ("push",))
