"""deploy, rollback, status, fleet, history, diff, up, down, exec, restart, pull, logs, hold, resume."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import click

from container_pipeline.cli.common import NO_RELEASE, VERSION, command
from container_pipeline.errors import Stopped, UsageError
from container_pipeline.execute import Run
from container_pipeline.i18n import _

_WAIT = click.option(
    "--wait",
    type=click.IntRange(0),
    default=0,
    metavar="SECONDS",
    help=_("wait this long for another run's lock (default: 0)"),
)
_ACCEPT_NEW = click.option(
    "--accept-new-host-key",
    "accept_new",
    is_flag=True,
    help=_("accept the host key of a server seen for the first time"),
)
_TIMEOUT = click.option(
    "--timeout", metavar="SECONDS", help=_("how long to wait until the service is healthy (default: 60)")
)

_OVERRIDE = click.option(
    "--override",
    metavar="REASON",
    help=_("go on in spite of a hold or freeze; the history keeps the reason"),
)


def _service_name(_ctx: click.Context, _option: click.Parameter, name: str | None) -> str:
    """Return the name of a Compose service, or "". Raises click.BadParameter for what no service can be called."""
    if name and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise click.BadParameter(_("{name!r} is not the name of a service", name=name))
    return name or ""


_SERVICE = click.option("--service", callback=_service_name, metavar="S", help=_("only this service"))
_ROLLING = click.option(
    "--rolling",
    type=click.IntRange(1),
    metavar="N",
    help=_("deploy to N servers at a time, the next ones once these are healthy"),
)


@command(
    "deploy",
    VERSION,
    _TIMEOUT,
    click.option("--env-file", "env_file", metavar="F", help=_("file that becomes the server's .env (default: .env)")),
    click.option(
        "--compose-file", "compose_file", metavar="F", help=_("Compose file to deploy (default: docker-compose.yml)")
    ),
    click.option(
        "--keep-newer",
        is_flag=True,
        help=_("keep a release that was built later (default without --version)"),
    ),
    NO_RELEASE,
    _ROLLING,
    _OVERRIDE,
    _WAIT,
    _ACCEPT_NEW,
    changes=True,
    servers=True,
    tells=True,
    examples=(
        "deploy",
        "deploy --version 20261124093015 --server deploy@web-1.example",
        "deploy --rolling 1 --dry-run",
    ),
)
def deploy(run: Run, version: str | None, rolling: int | None, override: str | None, **more: Any) -> None:
    from container_pipeline.commands.server import deploy

    deploy.run(run, version=version, rolling=rolling or 0, override=_reason(override), **more)


def _reason(text: str | None) -> str:
    if text is None:
        return ""
    from container_pipeline.commands.server import hold

    # On the server, bars separate the fields of the history.
    return hold.check(text).replace("|", "/")


@command(
    "rollback",
    click.option("--version", metavar="V", help=_("release to roll back to (default: the previous one)")),
    click.option(
        "--no-verify",
        metavar="REASON",
        help=_("roll back to a release without a signature; the history keeps the reason"),
    ),
    _TIMEOUT,
    _ROLLING,
    _WAIT,
    _ACCEPT_NEW,
    changes=True,
    servers=True,
    tells=True,
    examples=("rollback", "rollback --version 20261124093015 --server web-1.example"),
)
def rollback(
    run: Run, version: str | None, rolling: int | None, wait: int, accept_new: bool, no_verify: str | None
) -> None:
    from container_pipeline.commands.server import rollback

    why = _reason(no_verify)
    rollback.run(run, version=version, rolling=rolling or 0, wait=wait, accept_new=accept_new, no_verify=why)


@command("status", _ACCEPT_NEW, servers=True, examples=("status", "status --json --environment prod"))
def status(run: Run, accept_new: bool) -> None:
    from container_pipeline.commands.server import status

    status.run(run, accept_new=accept_new)


@command(
    "fleet",
    click.argument("jobs_files", nargs=-1, metavar="[JOBS.YML]..."),
    # `check` is a key of the project file.
    click.option("--check", "strict", is_flag=True, help=_("exit with 1 if anything is wrong, for a nightly job")),
    click.option("--disk", is_flag=True, help=_("also show the size of each code's images")),
    click.option(
        "--html", "page", type=click.Path(path_type=Path), metavar="FILE", help=_("also write a page for a browser")
    ),
    _ACCEPT_NEW,
    servers=True,
    examples=(
        "fleet jobs.yml",
        "fleet jobs.yml --check --html fleet.html",
        "fleet --server deploy@web-1.example --server web-2.example --check",
    ),
)
def fleet(run: Run, jobs_files: tuple[str, ...], strict: bool, disk: bool, page: Path | None, accept_new: bool) -> None:
    from container_pipeline.commands.server import fleet

    fleet.run(run, jobs_files, check=strict, disk=disk, page=page, accept_new=accept_new)


@command(
    "diff", VERSION, _ACCEPT_NEW, servers=True, examples=("diff", "diff --version 20261124093015 --environment prod")
)
def diff(run: Run, version: str | None, accept_new: bool) -> None:
    from container_pipeline.commands.server import diff

    diff.run(run, version=version, accept_new=accept_new)


@command("history", _ACCEPT_NEW, servers=True, examples=("history --server web-1.example",))
def history(run: Run, accept_new: bool) -> None:
    from container_pipeline.commands.server import history

    history.run(run, accept_new=accept_new)


@command(
    "up", _TIMEOUT, _OVERRIDE, _WAIT, _ACCEPT_NEW, changes=True, servers=True, examples=("up --server web-1.example",)
)
def up(run: Run, override: str | None, wait: int, accept_new: bool) -> None:
    from container_pipeline.commands.server import control

    control.run(run, "up", override=_reason(override), wait=wait, accept_new=accept_new)


@command(
    "down",
    click.option("--yes", is_flag=True, help=_("do not ask for confirmation")),
    _WAIT,
    _ACCEPT_NEW,
    changes=True,
    servers=True,
    examples=("down --server web-1.example --yes",),
)
def down(run: Run, yes: bool, wait: int, accept_new: bool) -> None:
    from container_pipeline.commands.server import control

    if not (yes or run.dry_run):
        _ask(run)
    control.run(run, "down", wait=wait, accept_new=accept_new)


def _ask(run: Run) -> None:
    """Ask a person to confirm; without a terminal, refuse."""
    names = ", ".join(target.name for target in run.settings.targets())
    if not sys.stdin.isatty():
        raise UsageError(_("down stops the service on {names}", names=names), _("pass --yes to confirm"))
    if not click.confirm(_("Stop {code} on {names}?", code=run.settings.code, names=names), err=True):
        raise Stopped(_("nothing was changed"), 1)


@command(
    "restart",
    _SERVICE,
    _TIMEOUT,
    _WAIT,
    _ACCEPT_NEW,
    changes=True,
    servers=True,
    examples=("restart --server web-1.example", "restart --service worker"),
)
def restart(run: Run, service: str, wait: int, accept_new: bool) -> None:
    from container_pipeline.commands.server import control

    control.run(run, "restart", service=service, wait=wait, accept_new=accept_new)


@command(
    "exec",
    _SERVICE,
    _ACCEPT_NEW,
    click.argument("words", nargs=-1, required=True, metavar="-- COMMAND…", type=click.UNPROCESSED),
    servers=True,
    examples=("exec -- sh", "exec --service worker --server web-1.example -- python -m shop.check"),
)
def exec_(run: Run, words: tuple[str, ...], service: str, accept_new: bool) -> None:
    from container_pipeline.commands.server import exec

    exec.run(run, words, service=service, accept_new=accept_new)


@command("pull", _WAIT, _ACCEPT_NEW, changes=True, servers=True, examples=("pull",))
def pull(run: Run, wait: int, accept_new: bool) -> None:
    from container_pipeline.commands.server import control

    control.run(run, "pull", wait=wait, accept_new=accept_new)


@command(
    "logs",
    click.option(
        "--tail",
        type=click.IntRange(0),
        metavar="N",
        help=_("number of last lines of each service (default: 500, or all with --since)"),
    ),
    click.option("--since", default="", metavar="TIME", help=_("only lines since then: 1h30m, or 2026-11-24T09:30")),
    click.option("--grep", default="", metavar="PATTERN", help=_("only lines with a match of this regular expression")),
    _SERVICE,
    click.option("-f", "--follow", is_flag=True, help=_("follow the logs until Ctrl-C")),
    _ACCEPT_NEW,
    servers=True,
    examples=("logs -f", "logs --since 1h --grep 'ERROR|WARN' --service worker --server web-1.example"),
)
def logs(run: Run, tail: int | None, since: str, grep: str, service: str, follow: bool, accept_new: bool) -> None:
    from container_pipeline.commands.server import logs

    logs.run(run, tail=tail, since=since, grep=grep, service=service, follow=follow, accept_new=accept_new)


@command(
    "hold",
    click.argument("reason"),
    _ACCEPT_NEW,
    changes=True,
    servers=True,
    tells=True,
    examples=("hold 'the database is being moved'", "hold 'inventory until noon' --environment prod"),
)
def hold(run: Run, reason: str, accept_new: bool) -> None:
    from container_pipeline.commands.server import hold

    hold.run(run, hold.check(reason), accept_new=accept_new)


@command("resume", _ACCEPT_NEW, changes=True, servers=True, tells=True, examples=("resume",))
def resume(run: Run, accept_new: bool) -> None:
    from container_pipeline.commands.server import hold

    hold.run(run, accept_new=accept_new)


COMMANDS = {
    "deploy": deploy,
    "rollback": rollback,
    "status": status,
    "fleet": fleet,
    "history": history,
    "diff": diff,
    "up": up,
    "down": down,
    "restart": restart,
    "exec": exec_,
    "pull": pull,
    "logs": logs,
    "hold": hold,
    "resume": resume,
}
