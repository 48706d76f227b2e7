"""seed --export and --from-scm-list: a first jobs file."""

from __future__ import annotations

import sys
from pathlib import Path

from container_pipeline.clients.jenkins import Controller
from container_pipeline.errors import SettingsError
from container_pipeline.execute import Run
from container_pipeline.i18n import _
from container_pipeline.plan.seed import export
from container_pipeline.plan.seed.export import Project
from container_pipeline.project import jobs_file


def run(run: Run) -> None:
    """Print the jobs in Jenkins that call docker.sh or containerPipeline; raises JenkinsError if Jenkins is unreachable."""
    controller = Controller(run.settings.controller())
    items = [(one.name, one.config) for one in controller.items("") if one.config and not one.folder]
    found, remarks = export.projects(items)
    kept, more = export.checked(found, jobs_file.schema())
    _write(run, kept, [*remarks, *more], export.set_name(items))


def from_list(run: Run, path: Path) -> None:
    """Print one project for each address in ``path`` (``-``: stdin); # begins a comment."""
    text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    _write(run, *export.from_addresses(line for line in lines if line))


def _write(run: Run, found: list[Project], remarks: list[str], name: str = "") -> None:
    import yaml

    for remark in remarks:
        run.console.warning(remark)
    if not found:
        raise SettingsError(_("Jenkins has no job that fits into a jobs file"))
    run.console.result(
        yaml.safe_dump(
            export.document(found, name), sort_keys=False, allow_unicode=True, width=120, default_flow_style=False
        ).rstrip()
    )
    run.console.line(
        _("{count} projects; review them, then run `container-pipeline seed --adopt --dry-run`", count=len(found))
    )
