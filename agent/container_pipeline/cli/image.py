"""The commands of docker.sh."""

from __future__ import annotations

from typing import Any

import click

from container_pipeline.cli import GROUPS
from container_pipeline.cli.common import VERSION, command
from container_pipeline.execute import Run
from container_pipeline.i18n import _

_EXAMPLES = {
    "build": ("build", "build --project ~/work/aglaia-web-re", "build other-image"),
    "pipeline": ("pipeline", "pipeline --dry-run"),
}


def _word(name: str) -> click.Command:
    @command(name, changes=True, image=True, examples=_EXAMPLES.get(name, (name,)))
    def call(run: Run) -> None:
        from container_pipeline.commands.image import words
        from container_pipeline.plan.image import WORDS

        words.run(run, WORDS[name])

    return call


@command(
    "push",
    VERSION,
    click.option("--latest", "move_latest", is_flag=True, help=_("also move `latest` to this version")),
    changes=True,
    image=True,
    examples=("push", "push --latest"),
)
def push(run: Run, move_latest: bool, version: str | None) -> None:
    from container_pipeline.commands.image import words

    words.push(run, move_latest, version)


@command(
    "run",
    click.option("-d", "--detach", is_flag=True, help=_("run in the background and print the container's id")),
    click.option(
        "-p",
        "--publish",
        "ports",
        multiple=True,
        metavar="[IP:]HOST:CONTAINER",
        help=_("publish a port (default: 80:80)"),
    ),
    click.option(
        "-v", "--volume", "volumes", multiple=True, metavar="HOST:CONTAINER", help=_("mount a folder or volume")
    ),
    click.option(
        "-e", "--env", "variables", multiple=True, metavar="NAME[=VALUE]", help=_("set an environment variable")
    ),
    click.option("--env-file", "env_files", multiple=True, metavar="F", help=_("set the variables of a file")),
    click.option("--name", metavar="NAME", help=_("the container's name")),
    changes=True,
    image=True,
    short_verbose=False,
    examples=("run", "run -p 8080:80 -e ENV=dev", "run -d --name web -v /opt/logs:/logs"),
)
def run(run: Run, variables: tuple[str, ...], env_files: tuple[str, ...], **given: Any) -> None:
    from container_pipeline.commands.image import run as command_run

    command_run.run(run, environment=variables, env_file=env_files, **given)


COMMANDS = {**{name: _word(name) for name in GROUPS["image"]}, "push": push, "run": run}
