"""Run a command in the service's container on one server, with this terminal."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from container_pipeline.errors import Stopped, UsageError
from container_pipeline.execute import Run
from container_pipeline.i18n import _
from container_pipeline.remote import ssh
from container_pipeline.remote.fleet import Fleet, ServerTask, finish, parts


def run(run: Run, words: Sequence[str], *, service: str = "", accept_new: bool = False) -> None:
    """Run ``words`` in the container of ``service`` (default: the one named after the code).

    It has this process's input and output, and a terminal if both are one. Raises Stopped with the command's exit code if it
    is not 0, UsageError for several servers, ServerError where no container runs.
    """
    targets = run.settings.targets()
    if len(targets) > 1:
        names = ", ".join(target.name for target in targets)
        raise UsageError(
            _("exec runs on one server, and there are {names}", names=names), _("choose one with --server")
        )
    fleet = Fleet(run.settings, run.console, accept_new=accept_new)
    answers = fleet.ask(targets, ServerTask(parts(run.settings, "exec"), {"service": service}))
    finish(run.result, run.console, answers)
    facts = answers[0].facts
    terminal = sys.stdin.isatty() and run.console.out.isatty()
    command = [facts["docker"], "exec", "-it" if terminal else "-i", facts["container"], *words]
    if run.settings.values.sudo:
        command = ["sudo", "-n", *command]
    code = ssh.attach(fleet.access, targets[0], shlex.join(command), run.console.out, terminal=terminal)
    if code:
        raise Stopped(_("the command exited with code {code}", code=code), code)
