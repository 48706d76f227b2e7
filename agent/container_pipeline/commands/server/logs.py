"""Show the logs of all servers together, each line with its server."""

from __future__ import annotations

from container_pipeline.execute import Run
from container_pipeline.remote.fleet import Fleet, ServerTask, finish, parts

#: Colours of servers' names on a terminal, in turn.
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
    # All servers in parallel: a followed log never ends, so it would block the next one.
    finish(
        run.result,
        run.console,
        Fleet(run.settings, run.console, accept_new=accept_new).ask(targets, task, at_once=len(targets)),
    )
