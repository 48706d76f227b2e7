"""Tells a chat what a command did. A chat that refuses, hangs or is down is a warning, and never a result."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from container_pipeline.clients import git, notify
from container_pipeline.console import Redactor
from container_pipeline.errors import PipelineError, SettingsError, StateError, Stopped, UsageError
from container_pipeline.execute import Run
from container_pipeline.i18n import _
from container_pipeline.model import Secret
from container_pipeline.outside import LARGEST_YAML, maps, read_file, read_json
from container_pipeline.plan import envfile
from container_pipeline.plan.message import Message, message
from container_pipeline.remote.fleet import Answer, who
from container_pipeline.result import Told
from container_pipeline.settings import Settings
from container_pipeline.values import EVENTS, EVENTS_BY_DEFAULT

_COLOURS = {"failure": "red", "question": "blue"}
_SOUNDS_SECRET = re.compile(r"(?i)pass|pwd|secret|token|key|credential")


def add_commits(run: Run, answers: Sequence[Answer], commit: str) -> None:
    """Add to the result what a message says of a deploy of ``commit``: its environment, and the commits that it brings."""
    settings = run.settings
    if run.dry_run:
        return
    before = next((one for answer in answers if (one := answer.facts.get("former_commit", ""))), "")
    run.result.add(Told(environment=settings.environment, commits=commits(settings, before, commit)))


def commits(settings: Settings, before: str, commit: str) -> list[dict[str, str]]:
    """Return the commits after ``before`` up to ``commit``, redacted, from git, else from the list that came with the build."""
    if not before or not commit:
        return []
    redact = Redactor()
    redact.add(_secrets_of_services(settings))
    try:
        listed = maps({"commits": read_json(read_file(settings.project / git.LIST, LARGEST_YAML), list)}, "commits")
        place = next((n for n, one in enumerate(listed) if one.get("revision") == before), 0)
        found = [{name: str(one.get(name, "")) for name in ("revision", "author", "subject")} for one in listed[:place]]
    except (OSError, ValueError):
        found = git.commits(settings.project, before, commit)
    hidden: list[dict[str, str]] = redact.within(found)
    return hidden


def _secrets_of_services(settings: Settings) -> list[Secret]:
    """Return the values in the project's environment files whose names sound secret."""
    files = {values.get("env_file", "") for values in settings.values.environments.values()}
    secrets: list[Secret] = []
    for name in {settings.values.env_file, *files} - {""}:
        try:
            values = envfile.parse(read_file(settings.project / name, LARGEST_YAML), name)
        except (OSError, ValueError, PipelineError):
            continue
        secrets += [Secret(value) for key, value in values.items() if _SOUNDS_SECRET.search(key) and len(value) >= 6]
    return secrets


@contextmanager
def told(run: Run) -> Iterator[None]:
    """Tell the webhook how the command in the body ended.

    Not of what never began, such as a missing setting, nor of a run that its person ended.
    """
    try:
        yield
    except (UsageError, SettingsError, StateError, Stopped):
        raise
    except PipelineError as error:
        _tell(run, {"message": error.message, "category": error.category})
        raise
    else:
        _tell(run, None)


def _tell(run: Run, error: dict[str, str] | None) -> None:
    results = run.console.redact.within([{**run.result.as_dict(), "error": error}])
    events = run.settings.values.notify.get("on") or EVENTS
    send(run, message(results, run.settings.build_url, who=who()), run.settings.values.notify, events)


def send(run: Run, found: Message, of: Mapping[str, Any], events: Sequence[str] = ()) -> None:
    """Send a message to the webhook if ``events`` include it; ``of`` are the values of ``notify``. A failure is a warning."""
    settings, redact = run.settings, run.console.redact
    if not settings.webhook or found.event not in (events or of.get("on") or EVENTS_BY_DEFAULT):
        return
    text = notify.ChatText(
        redact(found.title),
        "\n".join(redact.lines(found.markdown().split("\n"))),
        "\n".join(redact.lines(found.plain().split("\n"))),
        _COLOURS.get(found.event, "green"),
    )
    # Nobody is called by name where there is nothing to do.
    mention = of.get("mention", ()) if found.event in ("question", "failure") else ()
    try:
        notify.send(settings.webhook, text, of.get("format", ""), secret=settings.webhook_secret, mention=mention)
    except Stopped:
        raise
    except PipelineError as problem:
        run.console.line(_("warning: the notification failed: {problem}", problem=problem.message))
