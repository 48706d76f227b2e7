"""Show the releases that each server keeps, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from container_pipeline import outside
from container_pipeline.execute import Run
from container_pipeline.i18n import _
from container_pipeline.model import local_time
from container_pipeline.plan.deploy import read_record
from container_pipeline.remote.fleet import Answer, Fleet, ServerTask, finish, parts
from container_pipeline.remote.reasons import failure
from container_pipeline.result import Choices

#: Letters of each text of a choice.
_LONGEST = 200
#: Letters of the reason why a release failed, which may be the engine's own text.
_LONGEST_REASON = 120


def run(run: Run, *, accept_new: bool = False) -> None:
    """Show one line per kept release, per rollback and per deploy that failed, newest first."""
    answers = ask(run, accept_new=accept_new)
    rows = [row for answer in answers for row in _rows(answer)]
    run.console.table((_("SERVER"), _("VERSION"), _("WHEN"), _("BY"), _("DIGEST"), ""), rows)
    run.result.add(Choices(choices=choices(answers)))
    finish(
        run.result, run.console, answers, lambda answer: {"releases": releases(answer), "attempts": attempts(answer)}
    )


def _rows(answer: Answer) -> list[tuple[str, ...]]:
    name = answer.target.name
    rows = [
        (
            name,
            record["version"],
            str(record.get("when", "-")),
            _by(record),
            record.get("digest", "")[7:19] or "-",
            _("current") if record["version"] == answer.facts.get("version") else "",
        )
        for record in releases(answer)
    ]
    rows += [
        (name, one["version"], one["when"], one["by"], "-", _("without verification: {why}", why=one["outcome"][14:]))
        for one in attempts(answer)
        if one.get("outcome", "").startswith("ok unverified ")
    ]
    rows += [
        (name, one["version"], one["when"], one["by"], "-", _("rollback"))
        for one in attempts(answer)
        if one.get("outcome") == "ok" and one["action"] == "rollback"
    ]
    rows += [
        (name, one["version"] or "-", one["when"], one["by"], "-", _failed(one))
        for one in attempts(answer)
        if one.get("outcome", "").startswith("failed ")
    ]
    rows += [
        (name, one["version"] or "-", one["when"], one["by"], "-", _("override: {reason}", reason=one["outcome"][11:]))
        for one in attempts(answer)
        if one.get("outcome", "").startswith("overridden ")
    ]
    newest_first = sorted(rows, key=lambda row: row[2], reverse=True)
    return [(server, version, local_time(when), *more) for server, version, when, *more in newest_first]


def _failed(attempt: dict[str, str]) -> str:
    """Return how an attempt failed, and the return to what ran before, if that failed too."""
    reason, _bar, back = attempt["outcome"][len("failed ") :].partition("|")
    if reason == "connection":
        why = _("the run was terminated, or its connection was lost")
    else:
        why = outside.short(failure(reason), _LONGEST_REASON)
    if back:
        more = outside.short(failure(back), _LONGEST_REASON)
        why = _("{why}; what ran before could not be restored: {back}", why=why, back=more)
    if attempt["action"] == "rollback":
        return _("rollback failed: {why}", why=why)
    return _("failed: {why}", why=why)


def _by(record: dict[str, Any]) -> str:
    by = str(record.get("build") or record.get("by", "-"))
    return _("{by}, approved by {who}", by=by, who=record["approved_by"]) if record.get("approved_by") else by


def ask(run: Run, *, accept_new: bool = False) -> list[Answer]:
    """Return what each server keeps."""
    return _ask(run, "history", accept_new=accept_new)


def _ask(run: Run, action: str, *, accept_new: bool = False) -> list[Answer]:
    return Fleet(run.settings, run.console, accept_new=accept_new).ask(
        run.settings.targets(), ServerTask(parts(run.settings, "found", "status"), {"action": action})
    )


def releases(answer: Answer) -> list[dict[str, Any]]:
    """Return the records of the releases that a server keeps, newest first."""
    lines = [line.partition(" ") for line in answer.all("kept")]
    return [{**read_record(text), "version": version} for version, _blank, text in lines]


def choices(answers: Sequence[Answer]) -> list[dict[str, str]]:
    """Return the releases that a rollback on all servers that responded can choose, newest first.

    All of these servers keep them, and not all run them already.
    """
    servers = [answer for answer in answers if not answer.error]
    kept = [{record["version"]: record for record in releases(answer)} for answer in servers]
    running = {answer.facts.get("version") for answer in servers}
    return [
        {
            "version": version,
            "when": outside.short(local_time(record.get("when", "-")), _LONGEST),
            "by": outside.short(_by(record), _LONGEST),
        }
        for version, record in (kept[0] if kept else {}).items()
        if all(version in others for others in kept) and running != {version}
    ]


def attempts(answer: Answer) -> list[dict[str, str]]:
    """Return all deploy attempts on a server, failed ones too, oldest first."""
    names = ("when", "by", "action", "version", "outcome")
    return [dict(zip(names, line.split("|", 4))) for line in answer.all("attempt")]


def versions_in_use(run: Run) -> set[str]:
    """Return the versions that any server keeps or runs, which `prune` must not delete. Raises the worst server's error.

    A server without a deploy needs none.
    """
    answers = [answer for answer in _ask(run, "in-use") if answer.reason != "nothing"]
    finish(run.result, run.console, answers)
    return {version for answer in answers for version in answer.all("use")}
