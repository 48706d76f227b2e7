"""hold, resume: stop deploys of a code on its servers, and let them go on."""

from __future__ import annotations

from container_pipeline.errors import UsageError
from container_pipeline.execute import Run, rollout
from container_pipeline.i18n import _
from container_pipeline.plan.deploy import Hold, Holding
from container_pipeline.remote.fleet import GO, Answer, ServerTask, finish
from container_pipeline.result import Reason

#: Longest reason, in characters.
_LONGEST = 300


def run(run: Run, reason: str = "", *, accept_new: bool = False) -> None:
    """Hold the code on all servers for ``reason``; resume without one. Raises the worst server's error."""
    step = Hold(run.settings.targets(), run.settings.code, reason)
    task = ServerTask(("hold",), {"action": "hold" if reason else "resume", "reason": reason}, GO)
    answers = rollout.on_servers(run, [step], task, accept_new=accept_new)
    if reason:
        run.result.add(Reason(reason=reason))
    finish(run.result, run.console, answers)
    for answer in answers:
        run.console.line(_told(answer, reason))


def check(reason: str) -> str:
    """Return a reason that people give on the command line; raises UsageError if it is none."""
    reason = reason.strip()
    if not reason or not reason.isprintable() or len(reason) > _LONGEST:
        raise UsageError(_("a reason is one line of at most {number} characters", number=_LONGEST))
    return reason


def _told(answer: Answer, reason: str) -> str:
    before = Holding.parse(answer.facts.get("hold", ""))
    if reason:
        return _("{server}: held; `container-pipeline resume` ends it", server=answer.target.name)
    if before is None:
        return _("{server}: nobody held it", server=answer.target.name)
    return _("{server}: resumed; it was {hold}", server=answer.target.name, hold=before.told())
