"""Logs: those of all servers at once, each line with its server."""

from __future__ import annotations

from container_pipeline.commands.servers import Fleet, Task, finish, parts
from container_pipeline.execute import Run
from container_pipeline.model import Target

#: Colours for servers' names on a terminal, one after the other.
_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)


def run(run: Run, *, tail: int = 500, follow: bool = False, accept_new: bool = False) -> None:
    """Show the last ``tail`` lines of each service's log; with ``follow`` go on until Ctrl-C."""
    targets = run.settings.targets()
    names = {target: _prefix(run, target, index, len(targets)) for index, target in enumerate(targets)}
    task = Task(
        parts(run, "logs"),
        {"tail": tail, "follow": follow},
        raw=lambda target, line: run.console.result(names[target] + line),
    )
    # All of them at once: a log that is followed never makes room for the next.
    finish(run, Fleet(run, accept_new=accept_new).ask(targets, task, at_once=len(targets)))


def _prefix(run: Run, target: Target, index: int, count: int) -> str:
    if count == 1:
        return ""
    if run.console.colours and run.console.out.isatty():
        return f"\033[{_COLOURS[index % len(_COLOURS)]}m{target.name}\033[0m | "
    return f"{target.name} | "
