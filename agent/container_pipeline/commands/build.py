"""Build the image of a project, as docker.sh's build did."""

from __future__ import annotations

from container_pipeline.commands import pipeline
from container_pipeline.execute import Run
from container_pipeline.plan.image import WORDS


def run(run: Run) -> None:
    """Build, and write the version down."""
    pipeline.run(run, WORDS["build"])
