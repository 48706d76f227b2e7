"""seed --job-dsl: the jobs of the jobs file for Jenkins' Job DSL plugin."""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence

from container_pipeline.execute import Run, jobs_files
from container_pipeline.i18n import _
from container_pipeline.plan.seed import jobdsl


def run(run: Run, files: Sequence[str]) -> None:
    """Print the script, which is the same for all jobs files, and write the data that it reads beside the files.

    Raises SettingsError for a mistake in a file.
    """
    jobs, _names = jobs_files.load(files)
    text = jobdsl.data(jobs)
    if not run.dry_run:
        (run.settings.project / jobdsl.FILE).write_text(text, encoding="utf-8")
        run.console.line(_("wrote {file}, which the script reads from its workspace", file=jobdsl.FILE))
    run.console.result((pkgutil.get_data("container_pipeline", "jobdsl/seed.groovy") or b"").decode().rstrip())
