"""The first ten minutes: init, adopt, lint, doctor."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from container_pipeline.cli.common import command
from container_pipeline.execute import Run
from container_pipeline.i18n import _

if TYPE_CHECKING:
    from container_pipeline.execute.writing import Questions


@command(
    "lint",
    click.option(
        "--format",
        "report",
        type=click.Choice(["text", "sarif", "junit"]),
        default="text",
        help=_("format of the findings on stdout"),
    ),
    click.option("--fix", is_flag=True, help=_("repair what is safe to repair")),
    changes=True,
    examples=("lint", "lint --fix --dry-run", "lint --format sarif > lint.sarif"),
)
def lint(run: Run, report: str, fix: bool) -> None:
    from container_pipeline.commands.start import lint as command

    command.run(run, report, fix)


@command(
    "init",
    click.option("--force", is_flag=True, help=_("replace files that differ without asking")),
    changes=True,
    examples=("init", "init --code aglaia-web-re", "init --project ~/work/shop --dry-run"),
)
def init(run: Run, force: bool) -> None:
    from container_pipeline.commands.start import init as command
    from container_pipeline.execute.writing import Agreed

    command.run(run, Agreed() if force else _questions(run))


@command(
    "adopt",
    click.option(
        "--verify",
        "compares",  # `verify` is a key
        is_flag=True,
        help=_("build with docker.sh and with container-pipeline, and compare the images"),
    ),
    click.option("--remove", is_flag=True, help=_("remove docker.sh afterwards")),
    click.option("--yes", is_flag=True, help=_("replace files that differ without asking")),
    changes=True,
    examples=("adopt --dry-run", "adopt --verify", "adopt --yes --remove"),
)
def adopt(run: Run, compares: bool, remove: bool, yes: bool) -> None:
    from container_pipeline.commands.start import adopt as command
    from container_pipeline.execute.writing import Agreed

    questions = Agreed() if yes else _questions(run)
    questions.option = "--yes"
    command.run(run, questions, compares, remove)


@command(
    "doctor",
    servers=True,
    examples=("doctor", "doctor --server deploy@web-1.example", "doctor --environment test --json"),
)
def doctor(run: Run) -> None:
    from container_pipeline.commands.start import doctor as command

    command.run(run)


def _questions(run: Run) -> Questions:
    """Return real questions if input and output are a terminal and JSON is off; else default answers."""
    from container_pipeline.execute.writing import Questions

    class Asked(Questions):
        def text(self, question: str, default: str) -> str:
            return str(click.prompt(question, default=default, err=True))

        def yes(self, question: str) -> bool:
            return click.confirm(question, err=True)

    asked = sys.stdin.isatty() and run.console.interactive and run.console.out is not sys.stderr and not run.dry_run
    return Asked() if asked else Questions()


COMMANDS = {"init": init, "adopt": adopt, "lint": lint, "doctor": doctor}
