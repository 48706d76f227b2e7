"""Command line of the commands for Jenkins administrators."""

from __future__ import annotations

from pathlib import Path

import click

from container_pipeline.cli.common import command
from container_pipeline.execute import Run
from container_pipeline.i18n import _


@command(
    "seed",
    click.argument("jobs_files", nargs=-1, metavar="[FILE]..."),
    click.option(
        "--prune", is_flag=True, help=_("remove jobs that are no longer in the file, instead of disabling them")
    ),
    click.option("--adopt", is_flag=True, help=_("take over jobs of the same name that seed did not create")),
    click.option("--yes", is_flag=True, help=_("allow disabling or removing more jobs than stay")),
    click.option(
        "--job-dsl", is_flag=True, help=_("print a Job DSL script and write its data, without asking Jenkins")
    ),
    click.option("--export", is_flag=True, help=_("print a first jobs file from the jobs that Jenkins has")),
    click.option(
        "--from-scm-list",
        type=click.Path(path_type=Path, exists=True, allow_dash=True),
        metavar="LIST",
        help=_("print a first jobs file from a list of repositories, one address per line"),
    ),
    changes=True,
    examples=("seed --dry-run", "seed teams/*.yml --prune", "seed --export > jobs.yml", "seed --job-dsl > seed.groovy"),
)
def seed(
    run: Run,
    jobs_files: tuple[str, ...],
    prune: bool,
    adopt: bool,
    yes: bool,
    job_dsl: bool,
    export: bool,
    from_scm_list: Path | None,
) -> None:
    patterns = [str(run.settings.project / name) for name in jobs_files or ("jobs.yml",)]
    if export:
        from container_pipeline.commands.jenkins import seed_export

        seed_export.run(run)
    elif from_scm_list:
        from container_pipeline.commands.jenkins import seed_export

        seed_export.from_list(run, from_scm_list)
    elif job_dsl:
        from container_pipeline.commands.jenkins import seed_job_dsl

        seed_job_dsl.run(run, patterns)
    else:
        from container_pipeline.commands.jenkins import seed as seeding

        seeding.run(run, patterns, prune=prune, adopt=adopt, yes=yes)


COMMANDS = {"seed": seed}
