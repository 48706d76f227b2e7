"""ship."""

from __future__ import annotations

import click

from container_pipeline.cli.common import NO_RELEASE, command
from container_pipeline.execute import Run
from container_pipeline.i18n import _


@command(
    "ship",
    click.option("--timeout", metavar="SECONDS", help=_("how long to wait until the service is healthy (default: 60)")),
    click.option("--yes", is_flag=True, help=_("approve, where the project asks for it (`approve`)")),
    NO_RELEASE,
    changes=True,
    servers=True,
    tells=True,
    examples=("ship", "ship --environment test", "ship --dry-run"),
)
def ship(run: Run, yes: bool, no_release: bool) -> None:
    from container_pipeline.commands.flow import ship

    ship.run(run, yes=yes, no_release=no_release)


COMMANDS = {"ship": ship}
