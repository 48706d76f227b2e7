"""The commands on registries; none of them needs Docker."""

from __future__ import annotations

import click

from container_pipeline.cli.common import VERSION, command
from container_pipeline.execute import Run
from container_pipeline.i18n import _


@command(
    "promote",
    VERSION,
    click.option(
        "--force-latest", is_flag=True, help=_("move `latest` even if it names a version that was built later")
    ),
    click.option(
        "--without-attestations",
        is_flag=True,
        help=_("leave out what BuildKit attached; production then has another digest"),
    ),
    changes=True,
    examples=("promote", "promote --version 20261124093015 --dry-run"),
)
def promote(run: Run, version: str | None, force_latest: bool, without_attestations: bool) -> None:
    from container_pipeline.commands.registry import promote

    promote.run(run, version, force_latest=force_latest, without_attestations=without_attestations)


_PROD = click.option("--prod", "production", is_flag=True, help=_("the production registry"))


@command("images", _PROD, examples=("images", "images --prod", "images --json"))
def images(run: Run, production: bool) -> None:
    from container_pipeline.commands.registry import images

    images.run(run, production=production)


@command(
    "prune",
    _PROD,
    click.option("--local", is_flag=True, help=_("the engine of this machine")),
    click.option("--keep", metavar="N", help=_("number of versions to keep, besides those in use")),
    changes=True,
    servers=True,
    examples=("prune --dry-run", "prune --prod --keep 10", "prune --local"),
)
def prune(run: Run, production: bool, local: bool) -> None:
    from container_pipeline.commands.registry import prune

    if local and production:
        raise click.UsageError(_("--local and --prod exclude each other"))
    if local:
        prune.local(run)
    else:
        prune.run(run, production=production)


COMMANDS = {"promote": promote, "images": images, "prune": prune}
