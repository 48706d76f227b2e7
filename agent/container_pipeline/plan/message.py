"""The message to a chat: what was done where, by whom, and with which commits. Pure: results in, texts out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from container_pipeline.i18n import _
from container_pipeline.outside import MESSAGE, maps, pick, short
from container_pipeline.plan.report import overtaken, title

#: Commits that a message lists, and the longest subject of one.
COMMITS, _SUBJECT = 20, 120
#: Secrets that nobody declared: logins in addresses, values of names that sound secret, tokens of well-known forms.
_SECRET = re.compile(
    r"(?<=://)[^\s/@]+(?=@)"
    r"|(?i:(?<=password)|(?<=passwd)|(?<=pwd)|(?<=passphrase)|(?<=secret)|(?<=token)|(?<=api[_-]key)|(?<=apikey)"
    r"|(?<=密码)|(?<=口令))\s*(?:[:=：]|\bis\b)\s*[^\s,;]+"
    r"|\b(?:gh[pousr]_|glpat-|xox[abeprs]-|github_pat_|sk-|AKIA|ASIA|SEC(?=[0-9a-f]{32}))[\w-]{12,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
)


@dataclass(frozen=True)
class Message:
    """``event`` is one of ``values.EVENTS``; ``facts`` are labels with their values; ``link`` is an address or ""."""

    event: str
    title: str
    facts: tuple[tuple[str, str], ...] = ()
    commits: tuple[str, ...] = ()
    link: str = ""

    def markdown(self) -> str:
        """Return everything but the title in the Markdown that all chats read: lists, bold and links."""
        lines = [f"- **{label}**: {value}" for label, value in self.facts]
        if self.commits:
            lines += ["", f"**{_('Commits since the previous release')}**", "", *(f"- {one}" for one in self.commits)]
        if self.link:
            lines += ["", f"[{self.link}]({self.link})"]
        return "\n".join(lines)

    def plain(self) -> str:
        """Return all of it as lines without Markdown."""
        facts = [f"{label}: {value}" for label, value in self.facts]
        return "\n".join(filter(None, (self.title, *facts, *(f"- {one}" for one in self.commits), self.link)))


def harmless(text: str, length: int = MESSAGE) -> str:
    """Return text from outside on one line: it mentions nobody, links nowhere, and holds no secret that can be recognized."""
    text = short(_SECRET.sub("***", " ".join(text.split())), length)
    return text.replace("](", "] (").replace("<", "‹").replace(">", "›").replace("`", "'").replace("@all", "@ all")


def message(
    results: Sequence[Mapping[str, Any]],
    build_url: str = "",
    *,
    question: str = "",
    unfinished: str = "",
    failed_before: bool = False,
    who: str = "",
) -> Message:
    """Return the message about a run's results, redacted, in their order.

    ``question`` is one that stands now, ``unfinished`` the stage in which the run was stopped, ``failed_before``
    whether the run before this one failed, ``who`` the person at the command line.
    """
    bad = next((result for result in results if result.get("error")), None)
    event, head = _head(results, bad, question, unfinished, failed_before)
    link = f"{build_url.rstrip('/')}/input/" if question and build_url else build_url
    return Message(event, harmless(head), _facts(results, who), _commits(results), link)


def _head(
    results: Sequence[Mapping[str, Any]],
    bad: Mapping[str, Any] | None,
    question: str,
    unfinished: str,
    failed_before: bool,
) -> tuple[str, str]:
    what = title(results)
    if bad:
        problem = str(bad["error"]["message"])
        if overtaken(bad):
            return "success", _("– {what}: {problem}", what=what, problem=problem)
        return "failure", _("✘ {what}: {command} failed: {problem}", what=what, command=bad["command"], problem=problem)
    if question:
        return "question", _("❓ {what}: {question}", what=what, question=question)
    if unfinished:
        return "failure", _("✘ {what}: stopped in {stage}", what=what, stage=unfinished)
    done = ", ".join(dict.fromkeys(str(result["command"]) for result in results))
    if failed_before:
        return "fixed", _("✔ {what} works again: {done}", what=what, done=done)
    return "success", _("✔ {what}: {done}", what=what, done=done)


def _facts(results: Sequence[Mapping[str, Any]], who: str) -> tuple[tuple[str, str], ...]:
    servers = [server for result in results for server in maps(result, "servers")]
    seconds = sum(float(step.get("seconds") or 0) for result in results for step in maps(result, "steps"))
    named = {name: _each(results, name) for name in ("environment", "reason", "approved_by", "override")}
    rows = (
        (_("Environment"), named["environment"]),
        (_("Servers"), _joined(_server(server) for server in servers)),
        (_("Before"), _joined(pick(server, "former", str) or "" for server in servers)),
        (_("Reason"), named["reason"]),
        (_("Approved by"), named["approved_by"]),
        (_("Override"), named["override"]),
        (_("By"), who),
        (_("Duration"), f"{seconds:.0f} s" if seconds >= 1 else ""),
    )
    return tuple((label, harmless(value)) for label, value in rows if value)


def _each(results: Sequence[Mapping[str, Any]], name: str) -> str:
    return _joined(pick(result, name, str) or "" for result in results)


def _joined(values: Any) -> str:
    return ", ".join(dict.fromkeys(filter(None, values)))


def _server(server: Mapping[str, Any]) -> str:
    name, status = str(server.get("name", "")), str(server.get("status", ""))
    return name if status == "ok" else f"{name} ({status or _('failed')})"


def _commits(results: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the commits of the last result that has some."""
    found = next((commits for result in reversed(results) if (commits := list(maps(result, "commits")))), [])
    lines = [
        f"{harmless(str(one.get('subject', '')), _SUBJECT)} ({harmless(str(one.get('author', '')), 40)})"
        for one in found
    ]
    more = [_("… and {number} more", number=len(lines) - COMMITS)] if len(lines) > COMMITS else []
    return (*lines[:COMMITS], *more)
