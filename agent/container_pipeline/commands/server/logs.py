"""Show the logs of all servers together, each line with its server."""

from __future__ import annotations

import re

from container_pipeline.errors import UsageError
from container_pipeline.execute import Run
from container_pipeline.i18n import _
from container_pipeline.model import Target
from container_pipeline.remote.fleet import Fleet, ServerTask, finish, parts

#: Colours of servers' names on a terminal, in turn.
_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
#: Last lines of each service without --tail and --since.
TAIL = 500
_SINCE = re.compile(r"(\d+(\.\d+)?(h|m|s))+|\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?|\d{9,11}")


def run(
    run: Run,
    *,
    tail: int | None = None,
    since: str = "",
    grep: str = "",
    service: str = "",
    follow: bool = False,
    accept_new: bool = False,
) -> None:
    """Show each service's log: its last ``tail`` lines, those ``since`` a time or duration as Docker takes it, or both.

    ``grep``: only lines in which this regular expression is found. ``service``: of this service alone. With ``follow`` go on until Ctrl-C.
    Raises UsageError for a bad ``since`` or ``grep``.
    """
    targets = run.settings.targets()
    if since and not _SINCE.fullmatch(since):
        raise UsageError(
            _("--since is a duration such as 1h30m or a time such as 2026-11-24T09:30, not {text!r}", text=since)
        )
    try:
        wanted = re.compile(grep)
    except re.error as error:
        raise UsageError(_("--grep is no regular expression: {error}", error=error)) from error
    several = len(targets) > 1
    prefixes = {target: f"{target.name} | " if several else "" for target in targets}
    colours = {target: _COLOURS[index % len(_COLOURS)] for index, target in enumerate(targets)}

    shown: set[Target] = set()

    def show(target: Target, line: str) -> None:
        if wanted.search(line):
            shown.add(target)
            run.console.log(prefixes[target], colours[target], line)

    lines = tail if tail is not None else "all" if since else TAIL
    task = ServerTask(
        parts(run.settings, "logs"), {"tail": lines, "since": since, "service": service, "follow": follow}, raw=show
    )
    # All servers in parallel: a followed log never ends, so it would block the next one.
    answers = Fleet(run.settings, run.console, accept_new=accept_new).ask(targets, task, at_once=len(targets))
    for answer in answers:
        if answer.status == "ok" and answer.target not in shown:
            name = answer.target.name
            run.console.warning(
                _("{server}: no log line matches --grep {pattern!r}", server=name, pattern=grep)
                if grep
                else _("{server}: no log line to show; `container-pipeline status` says what runs there", server=name)
            )
    finish(run.result, run.console, answers)
