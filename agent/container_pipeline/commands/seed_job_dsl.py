"""seed --job-dsl: the jobs of the jobs file as one script for Jenkins' Job DSL plugin."""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence

from container_pipeline.commands import seed_file
from container_pipeline.execute import Run
from container_pipeline.plan.seed import jobdsl


def run(run: Run, files: Sequence[str]) -> None:
    """Write the script to stdout; raises SettingsError for a mistake in a file."""
    jobs, _names = seed_file.load(files)
    body = (pkgutil.get_data("container_pipeline", "jobdsl/seed.groovy") or b"").decode()
    run.console.result(jobdsl.script(jobs, body))
