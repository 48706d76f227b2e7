"""Shared by deploy, rollback and the Compose commands: how they run on servers and report results."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from container_pipeline.errors import FrozenError, OvertakenError, PipelineError
from container_pipeline.execute import Run
from container_pipeline.i18n import _
from container_pipeline.model import Secret
from container_pipeline.plan import deploy as plan
from container_pipeline.remote.fleet import Answer, Fleet, ServerTask, finish
from container_pipeline.windows import frozen

#: The files of ``remote/programs/`` that deploy and roll back.
DEPLOY = ("switch", "containers", "found", "ask", "pins", "deploy")
#: Steps of a release on a server, in order.
STEPS = ("check", "switch", "start", "health", "keep")


def on_servers(run: Run, steps: Sequence[plan.OnServers], task: ServerTask, *, accept_new: bool) -> list[Answer]:
    """Run ``task`` step by step; after a failed step, the servers of later steps are skipped."""
    fleet = Fleet(run.settings, run.console, accept_new=accept_new)
    answers: list[Answer] = []

    def carry_out(step: plan.OnServers) -> None:
        if any(answer.error for answer in answers):
            answers.extend(Answer(target, "skipped") for target in step.servers)
            run.result.steps[-1].status = "skipped"
            return
        asked = fleet.ask(step.servers, task)
        answers.extend(asked)
        if any(answer.error for answer in asked):
            # The error is raised at the end, after all servers have been reported.
            overtaken = all(isinstance(answer.error, (OvertakenError, type(None))) for answer in asked)
            run.result.steps[-1].status = "skipped" if overtaken else "failed"

    run.execute(steps, {plan.OnServers: carry_out})
    return answers


def heed_freeze(run: Run, override: str) -> None:
    """Raise FrozenError in a window of ``freeze``, unless a reason overrides it; a dry run only says so."""
    window = frozen(run.settings.values.freeze, datetime.now(timezone.utc))
    if not window or override:
        return
    sentence = _("frozen: {window}; nothing was changed", window=window)
    if not run.dry_run:
        raise FrozenError(sentence, _("run it after that time, or pass --override REASON; `rollback` is never stopped"))
    run.console.warning(sentence)


def common(run: Run, action: str, wait: int, *, login: bool = True) -> dict[str, object]:
    """Return the values that every changing program needs; ``login`` if it may have to pull."""
    values = run.settings.values
    config = plan.login(run.settings.pull_from()) if login else Secret("")
    run.console.redact.add([config])
    return {
        "action": action,
        "wait": wait,
        "timeout": values.timeout,
        "settle": values.settle,
        "keep": values.keep,
        "strategy": values.strategy,
        "pull": values.pull,
        "login": config.reveal(),
        "signed": "",
        "unverified": "",
    }


def report(run: Run, answers: list[Answer], version: str = "", *, running: bool = True, promoted: bool = False) -> None:
    """Show the result of each server, and raise the worst error. With ``version`` "", the servers report the version.

    ``running``: whether the service runs after success. ``promoted``: whether a promotion may have moved `latest` to ``version``.
    """
    if run.dry_run:
        return
    for answer in answers:
        answer.facts.setdefault("version", "" if answer.error else version)
    if not version and len({answer.facts["version"] for answer in answers}) == 1:
        run.result.version = answers[0].facts["version"]
    if len(answers) > 1:
        run.console.table((_("SERVER"), _("RESULT"), _("VERSION")), [_row(answer) for answer in answers])
    try:
        finish(run.result, run.console, answers, _details)
    except PipelineError as error:
        latest = _latest_unused(run, answers, version) if promoted else ""
        if latest:
            error.hint = _("{first}; {second}", first=error.hint, second=latest) if error.hint else latest
        raise
    if len(answers) == 1:
        one = answers[0]
        runs = _("{server} runs {version}", server=one.target.name, version=one.facts["version"])
        run.console.line(runs if running else _("{server}: done", server=one.target.name))


def _latest_unused(run: Run, answers: Sequence[Answer], version: str) -> str:
    """Return what to do about `latest` if a promotion has moved it to a version that every server refused or rolled back."""
    facts = {"rolled-back": "version", "refused": "former"}
    previous = {answer.facts.get(facts.get(answer.status, ""), "") for answer in answers}
    released = [one for one in previous - {version} if one and not one.startswith("found-")]
    if not released or any(answer.status == "ok" for answer in answers) or not _moves_latest(run):
        return ""
    return _(
        "no server runs {version}; if `latest` in production names it, `{command}` moves `latest` back",
        version=version,
        command=f"container-pipeline promote --version {max(released)} --force-latest",
    )


def tell_latest(run: Run, answers: Sequence[Answer]) -> None:
    """Warn after a rollback that `latest` in production may still name the version that ran before it."""
    changed = [answer.facts for answer in answers if answer.status == "ok" and _moves_latest(run)]
    for before, now in sorted({(facts.get("former", ""), facts.get("version", "")) for facts in changed}, reverse=True):
        if not before or not now or before == now or "found-" in before + now:
            continue
        run.console.warning(
            _(
                "if `latest` in production names {version}, `{command}` moves `latest` back",
                version=before,
                command=f"container-pipeline promote --version {now} --force-latest",
            )
        )
        return


def _moves_latest(run: Run) -> bool:
    return bool(run.settings.values.latest and run.settings.pulls_from_production)


def _row(answer: Answer) -> tuple[str, str, str]:
    return answer.target.name, answer.status or _("failed"), answer.facts["version"] or "-"


def _details(answer: Answer) -> dict[str, Any]:
    return {"compose": answer.facts.get("compose", ""), "former": answer.facts.get("former", "")}
