"""The first ten minutes: init, adopt, lint, doctor."""

from __future__ import annotations

import click

from container_pipeline.cli.common import command
from container_pipeline.execute import Run
from container_pipeline.i18n import _


@command(
    "lint",
    click.option(
        "--format",
        "report",
        type=click.Choice(["text", "sarif", "junit"]),
        default="text",
        help=_("how findings are written on stdout"),
    ),
    click.option("--fix", is_flag=True, help=_("repair what can be repaired safely")),
    changes=True,
    examples=("lint", "lint --fix --dry-run", "lint --format sarif > lint.sarif"),
)
def lint(run: Run, report: str, fix: bool) -> None:
    from container_pipeline.commands import lint as command

    command.run(run, report, fix)


COMMANDS = {"lint": lint}
