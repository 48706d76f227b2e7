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


@command(
    "carry",
    click.option("--pack", type=click.Path(path_type=Path)),
    click.option("--unpack", type=click.Path(path_type=Path)),
    click.option("--wishes", default="{}"),
)
def carry(run: Run, pack: Path | None, unpack: Path | None, wishes: str) -> None:
    from container_pipeline.commands.library import carry
    from container_pipeline.outside import read_json
    from container_pipeline.plan.jenkinsfile import wishes_of

    if pack:
        names = wishes_of(read_json(wishes, dict))[1]
        carry.pack(run, pack, [load(run.settings.project, {}, name) for name in names])
    if unpack:
        carry.unpack(run, unpack)


COMMANDS = {"stages": stages, "report": report, "carry": carry}
