"""Logs: those of all servers at once, each line with its server."""

from __future__ import annotations

from container_pipeline.execute import Run
from container_pipeline.remote.fleet import Fleet, ServerTask, finish, parts

#: Colours for servers' names on a terminal, one after the other.
_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)


def run(run: Run, *, tail: int = 500, follow: bool = False, accept_new: bool = False) -> None:
    """Show the last ``tail`` lines of each service's log; with ``follow`` go on until Ctrl-C."""
    targets = run.settings.targets()
    several = len(targets) > 1
    prefixes = {target: f"{target.name} | " if several else "" for target in targets}
    colours = {target: _COLOURS[index % len(_COLOURS)] for index, target in enumerate(targets)}
    task = ServerTask(
        parts(run.settings, "logs"),
        {"tail": tail, "follow": follow},
        raw=lambda target, line: run.console.log(prefixes[target], colours[target], line),
    )
    # All of them at once: a log that is followed never makes room for the next.
    finish(
        run.result,
        run.console,
        Fleet(run.settings, run.console, accept_new=accept_new).ask(targets, task, at_once=len(targets)),
    )
