"""Options that commands share, and the conversion of parsed options to a ``Run``."""

from __future__ import annotations

import functools
import re
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import click

from container_pipeline.cli import GROUPS, HIDDEN
from container_pipeline.execute import Run
from container_pipeline.i18n import _
from container_pipeline.keys import BY_NAME
from container_pipeline.settings import load

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_EVERYWHERE: tuple[Decorator, ...] = (
    click.option(
        "--project", type=click.Path(path_type=Path), default=".", metavar="DIR", help=_("the project's root")
    ),
    click.option("--code", metavar="CODE", help=_("project code, such as aglaia-web-re")),
    click.option("--namespace", metavar="NS", help=_("namespace before the image name")),
    click.option("--json", "as_json", is_flag=True, help=_("print one JSON object on stdout")),
    click.option("-q", "--quiet", is_flag=True, help=_("print only failures")),
    click.option("-v", "--verbose", is_flag=True, help=_("print more")),
)
#: For commands where -v is a volume, as in Docker.
_LONG_VERBOSE = click.option("--verbose", is_flag=True, help=_("print more; -v is a volume here, as in Docker"))
_DRY_RUN = click.option("--dry-run", is_flag=True, help=_("print the plan and change nothing"))
_SERVERS: tuple[Decorator, ...] = (
    click.option(
        "--server",
        "servers",
        multiple=True,
        metavar="[USER@]HOST[:PORT]",
        help=_("server to act on; repeat it for more"),
    ),
    click.option("--environment", metavar="NAME", help=_("one of the project's environments")),
)
_IMAGE = click.argument("image", required=False)
VERSION = click.option("--version", metavar="V", help=_("version (default: the one built last)"))
NO_RELEASE = click.option("--no-release", is_flag=True, help=_("skip the release command of the key `release`"))


class _Command(click.Command):
    """A command that reads a version without its option as a slip."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            version = next((word for word in given if re.fullmatch(r"\d{14}", word)), "")
            if type(error) is click.UsageError and version and "--version" not in given and _takes_version(self):
                raise click.UsageError(_("did you mean --version {version}?", version=version), ctx) from error
            raise


def _takes_version(of: click.Command) -> bool:
    return any("--version" in option.opts for option in of.params)


def command(
    name: str,
    *options: Decorator,
    changes: bool = False,
    servers: bool = False,
    image: bool = False,
    short_verbose: bool = True,
    tells: bool = False,
    examples: tuple[str, ...] = (),
) -> Callable[[Callable[..., None]], click.Command]:
    """Declare one command. Its function receives a ``Run`` and the command's own ``options``.

    Options that are settings keys go into the settings and are not passed to the function.
    ``changes`` adds --dry-run, ``servers`` the options of server commands, ``image`` the optional IMAGE.
    With ``short_verbose`` False, the command defines -v itself. With ``tells``, a chat whose webhook is set learns how it ended.
    """
    help_text = next(commands[name] for commands in (*GROUPS.values(), *HIDDEN.values()) if name in commands)
    epilog = "\b\n" + _("Examples:") + "\n" + "\n".join(f"  container-pipeline {line}" for line in examples)

    def declare(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        @click.pass_context
        def call(ctx: click.Context, /, **given: Any) -> None:
            run = _run(ctx, name, given)
            with _telling(run) if tells else nullcontext():
                function(run, **given)

        callback: Callable[..., Any] = call
        shared = [*options, *(_EVERYWHERE if short_verbose else (*_EVERYWHERE[:-1], _LONG_VERBOSE))]
        if changes:
            shared.append(_DRY_RUN)
        if servers:
            shared.extend(_SERVERS)
        if image:
            shared.insert(0, _IMAGE)
        for option in reversed(shared):
            callback = option(callback)
        return click.command(name, _Command, help=help_text, epilog=epilog if examples else None)(callback)

    return declare


def _telling(run: Run) -> AbstractContextManager[None]:
    if not run.settings.webhook or run.settings.in_library or run.dry_run:
        return nullcontext()
    from container_pipeline.execute import notice

    return notice.told(run)


def _run(ctx: click.Context, name: str, given: dict[str, Any]) -> Run:
    """Create the run; remove the options of settings and console from ``given``."""
    console, result = ctx.obj
    result.command = name
    given.pop("as_json")
    console.verbosity = int(given.pop("verbose")) - int(given.pop("quiet"))
    environment = given.pop("environment", None)
    keys = {key: given.pop(key) for key in list(given) if key in BY_NAME}
    keys["servers"] = keys.get("servers") or None
    image_name = given.pop("image", None) or ""
    settings = replace(load(given.pop("project"), keys, environment or ""), image_name=image_name)
    console.redact.add(settings.passwords())
    result.code = settings.values.code
    origins = ", ".join(f"{key} ({source})" for key, source in settings.origins().items())
    console.detail(_("settings: {origins}", origins=origins or _("all are the defaults")))
    return Run(settings, console, result, given.pop("dry_run", False))
