"""Commands that only the Jenkins library calls; --help does not list them."""

from __future__ import annotations

from pathlib import Path

import click

from container_pipeline.cli.common import command
from container_pipeline.execute import Run
from container_pipeline.settings import Settings, load


@command("stages", click.option("--wishes", default="{}"))
def stages(run: Run, wishes: str) -> None:
    from container_pipeline.commands.library.stages import tell

    def enter(name: str) -> Settings:
        return load(run.settings.project, {}, name)

    tell(run, wishes, enter)


@command(
    "report",
    click.option("--results", type=click.Path(path_type=Path), required=True),
)
def report(run: Run, results: Path) -> None:
    from container_pipeline.commands.library.report import report as write

    write(run, results)


COMMANDS = {"stages": stages, "report": report}
