"""The commands on registries: none of them needs Docker."""

from __future__ import annotations

from container_pipeline.cli.common import VERSION, command
from container_pipeline.execute import Run


@command("promote", VERSION, changes=True, examples=("promote", "promote --version 20261124093015 --dry-run"))
def promote(run: Run, version: str | None) -> None:
    from container_pipeline.commands import promote

    promote.run(run, version)


COMMANDS = {"promote": promote}
