"""Command line → Settings → command. Each module here declares the options of one group of commands.

A module is imported only when one of its commands is called, so that ``--help`` answers at once.
"""

from __future__ import annotations

import importlib
from typing import Any

import click

from container_pipeline import __version__
from container_pipeline.cli import words
from container_pipeline.i18n import _

words.translate()

#: Group → command → one line of help, in the order of --help: common commands first, those of docker.sh last.
GROUPS: dict[str, dict[str, str]] = {
    "flow": {
        "ship": _("build, push, promote and deploy: the standard flow"),
    },
    "server": {
        "deploy": _("deploy the version; roll back if it is not healthy"),
        "rollback": _("roll back to an earlier release"),
        "status": _("show what runs on each server"),
        "fleet": _("show every code on every server, problems first"),
        "history": _("list the releases kept on each server"),
        "diff": _("show what the next deploy would change on each server"),
        "up": _("start the service"),
        "down": _("stop and remove the service's containers"),
        "exec": _("run a command in the service's container"),
        "restart": _("restart the service's containers"),
        "pull": _("pull the service's image"),
        "logs": _("show the service's logs"),
        "hold": _("stop deploys of this code until `resume`"),
        "resume": _("let deploys go on after `hold`"),
    },
    "start": {
        "init": _("write a new project's files by the convention"),
        "adopt": _("convert a project that has a docker.sh"),
        "lint": _("check the project against the convention"),
        "doctor": _("check this machine, registries, servers and Jenkins"),
    },
    "registry": {
        "promote": _("copy the version to the production registry, without Docker"),
        "images": _("list versions with digest, size and date, and which is `latest`"),
        "prune": _("remove old versions, never one that is in use or kept"),
    },
    "jenkins": {
        "seed": _("create and update Jenkins jobs from the jobs file"),
    },
    "image": {
        "build": _("build the image and record its version"),
        "run": _("run the built version in the foreground"),
        "push": _("push the version to the registry"),
        "tag-latest": _("tag the version as `latest`"),
        "push-latest": _("point `latest` at this version in the registry"),
        "tag-prod": _("tag the version for the production registry"),
        "push-prod": _("push the version to the production registry"),
        "tag-prod-latest": _("tag the version as `latest` for the production registry"),
        "push-prod-latest": _("point `latest` at this version in the production registry"),
        "pipeline": _("build if needed, push, and move `latest`"),
        "pipeline-prod": _("build if needed, push to production, and move `latest` there"),
        "pipeline-all": _("pipeline, then pipeline-prod"),
        "pipeline-rebuild": _("pipeline, always building first"),
        "pipeline-prod-rebuild": _("pipeline-prod, always building first"),
        "pipeline-all-rebuild": _("pipeline-all, always building first"),
    },
}

#: Titles of the groups in --help.
TITLES = {
    "flow": _("flow"),
    "server": _("server"),
    "start": _("start"),
    "registry": _("registry"),
    "jenkins": _("Jenkins"),
    "image": _("image"),
}

#: Commands that only the Jenkins library calls; --help does not list them.
HIDDEN: dict[str, dict[str, str]] = {
    "library": {
        "stages": "the stages that a Jenkinsfile's call goes through",
        "carry": "what was built, from one node to another",
        "report": "the page that is archived with a build, and the message to a webhook",
    },
}


#: Commands of other tools that people type → the command that they mean.
GUESSES = {
    "ps": "status",
    "start": "up",
    "stop": "down",
    "log": "logs",
    "releases": "history",
    "undo": "rollback",
    "pause": "hold",
    "unpause": "resume",
    "freeze": "hold",
    "release": "ship",
    "check": "doctor",
    "new": "init",
    "tags": "images",
}


class LazyGroup(click.Group):
    """Imports a command's module only when that command is called."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            message = _(
                "options come after the command: container-pipeline COMMAND {option} …", option=error.option_name
            )
            raise click.UsageError(message, ctx) from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for commands in GROUPS.values() for name in commands]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        for group, commands in {**GROUPS, **HIDDEN}.items():
            if name in commands:
                module = importlib.import_module(f"container_pipeline.cli.{group}")
                command: click.Command = module.COMMANDS[name]
                return command
        return None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        hidden = [name for commands in HIDDEN.values() for name in commands]
        if args and not args[0].startswith("-") and args[0] not in [*self.list_commands(ctx), *hidden]:
            from container_pipeline.keys import nearest

            message = _("unknown command {name!r}", name=args[0])
            meant = [GUESSES[args[0]]] if args[0] in GUESSES else self.list_commands(ctx)
            raise click.UsageError(f"{message}: {nearest(GUESSES.get(args[0], args[0]), meant)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for group, commands in GROUPS.items():
            with formatter.section(TITLES[group]):
                formatter.write_dl(list(commands.items()))


@click.group(
    cls=LazyGroup,
    help=_("Build, promote and deploy container images by one convention."),
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="container-pipeline")
@click.pass_context
def main(ctx: click.Context) -> None:
    if ctx.invoked_subcommand is None:
        raise click.UsageError(_("no command given"), ctx)
