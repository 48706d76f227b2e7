"""The fleet as one HTML page, in English and Chinese: what is wrong, codes by environments, two weeks of deploys.

Pure: deployments in, text out. Sentences about one deployment are in the language of the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html import escape

from container_pipeline.model import moment
from container_pipeline.outside import short
from container_pipeline.plan import page
from container_pipeline.plan.fleet import DAYS, Deployment, remarks
from container_pipeline.plan.page import AMBER, GREEN, GREY, RED

#: Every label of the page in both languages.
LABELS = {
    "Fleet": "部署总览",
    "{count} of {all} deployments have a problem": "{all} 个部署中有 {count} 个有问题",
    "{count} deployments, no problem": "{count} 个部署，没有问题",
    "servers that could not be read: {names}": "未能读取的服务器：{names}",
    "and {count} more": "另有 {count} 个",
    "As of": "截至",
    "Build": "构建",
    "What needs a look": "需要关注",
    "What runs where": "运行情况",
    "Deploys of the last {days} days": "最近 {days} 天的部署",
    "Latest deploys": "最新的部署",
    "Code": "项目代号",
    "Servers": "服务器",
    "since": "自",
    "by": "由",
    "approved by": "批准人",
    "What to do": "怎么办",
    "problem": "有问题",
    "not read": "未能读取",
    "unknown": "未知",
    "being deployed": "部署中",
    "held": "已暂停部署",
    "not managed": "未纳管",
    "not deployed": "未部署",
    "ok": "正常",
    "deployed": "已部署",
    "failed": "失败",
    "rolled back": "已回滚",
    "none": "无",
}
#: Status of a deployment → colour, sign and label.
_STATES = {
    "problem": (RED, "✘", "problem"),
    "unknown": (GREY, "?", "unknown"),
    "busy": (AMBER, "…", "being deployed"),
    "held": (AMBER, "!", "held"),
    "foreign": (GREY, "–", "not managed"),
    "none": (GREY, "–", "not deployed"),
    "ok": (GREEN, "✔", "ok"),
}
#: Outcome of a deploy → colour, and its shape around (0, 0).
_MARKS = {
    "deployed": (GREEN, '<circle r="5" fill="{colour}"/>'),
    "failed": (RED, '<path d="M-5,-5 L5,5 M-5,5 L5,-5" stroke="{colour}" stroke-width="3"/>'),
    "rolled back": (AMBER, '<path d="M5,-6 L-6,0 L5,6 Z" fill="{colour}"/>'),
}
#: Environments that are columns on a screen of 360 pixels; more of them are rows.
_COLUMNS = 3
#: Bounds of the page: deployments that need a look and remarks on each, deploys that are drawn, and those that are listed.
_LOOKS, _REMARKS, _DRAWN, _LISTED = 200, 5, 500, 50


@dataclass(frozen=True)
class Silent:
    """A server that did not report all: why, and what to do."""

    server: str
    error: str
    hint: str = ""


@dataclass
class _Event:
    """A deploy of one version to servers: ``outcome`` is a key of ``_MARKS``."""

    when: datetime
    code: str
    version: str
    by: str
    outcome: str
    servers: list[str] = field(default_factory=list)


def html(deployments: Sequence[Deployment], silent: Sequence[Silent], now: datetime, build_url: str = "") -> str:
    """Return the page. ``now`` has the time zone in which times are shown; ``build_url`` is that of the run, or ""."""
    events = _events(deployments, now)
    parts = [
        _verdict(deployments, silent),
        _head(now, build_url),
        _looks(deployments, silent, now),
        _matrix(deployments),
        _timeline(events, now),
        _latest(events),
    ]
    wrong = sum(1 for one in deployments if one.problems) + len(silent)
    title = f"{'✘' if wrong else '✔'} {_both('Fleet')}" + (f": {wrong}" if wrong else "")
    return page.document(title, "\n".join(part for part in parts if part))


def _both(label: str, **values: object) -> str:
    """Return a label in both languages, as HTML."""
    return escape(f"{label}{' · ' if values else ' '}{LABELS[label]}".format(**values))


def _text(value: str) -> str:
    return page.text(short(value))


def _version(value: str) -> str:
    """Return a version as HTML; a time wraps between date and clock."""
    return f"{value[:8]}<wbr>{value[8:]}" if len(value) == 14 and value.isdecimal() else _text(value)


def _verdict(deployments: Sequence[Deployment], silent: Sequence[Silent]) -> str:
    wrong = sum(1 for one in deployments if one.problems)
    if wrong:
        sentences = [_both("{count} of {all} deployments have a problem", count=wrong, all=len(deployments))]
    else:
        sentences = [_both("{count} deployments, no problem", count=len(deployments))]
    if silent:
        names = short(", ".join(one.server for one in silent))
        sentences.append(_both("servers that could not be read: {names}", names=names))
    colour, sign = (RED, "✘") if wrong or silent else (GREEN, "✔")
    return page.verdict(colour, f"{sign} " + "<br>".join(page.words(one) for one in sentences))


def _head(now: datetime, build_url: str) -> str:
    build = page.link(build_url, _both("Build")) if build_url else ""
    return f"<p>{_both('As of')} {now:%Y-%m-%d %H:%M %z} {build}</p>"


def _state(status: str) -> str:
    colour, sign, label = _STATES[status]
    return page.coloured(colour, f"{sign} {_both(label)}")


def _looks(deployments: Sequence[Deployment], silent: Sequence[Silent], now: datetime) -> str:
    rows = [
        (f"{page.coloured(RED, '✘ ' + _both('not read'))}<br><b>{_text(one.server)}</b>", _advice(one))
        for one in silent
    ]
    found = [one for one in deployments if one.status in ("problem", "unknown", "busy", "held")]
    for one in found[:_LOOKS]:
        where = " · ".join(_text(text) for text in (one.environment, one.server) if text)
        what = f"{_state(one.status)}<br><b>{_text(one.code)}</b><br>{where}"
        said = [page.words(short(text)) for text in remarks(one)]
        if len(said) > _REMARKS:
            said[_REMARKS:] = [_both("and {count} more", count=len(said) - _REMARKS)]
        rows.append((what, "<br>".join([*said, _release(one, now)])))
    if len(found) > _LOOKS:
        rows.append((_both("and {count} more", count=len(found) - _LOOKS), ""))
    return f"<h2>{_both('What needs a look')}</h2>\n" + page.table(rows) if rows else ""


def _advice(one: Silent) -> str:
    hint = f"<br><b>{_both('What to do')}:</b> {page.words(short(one.hint))}" if one.hint else ""
    return page.words(short(one.error)) + hint


def _release(one: Deployment, now: datetime) -> str:
    """Return which version of a deployment runs, since when, by whom, and who approved it."""
    parts = [_version(one.version)] if one.version else []
    if one.since:
        parts.append(f"{_both('since')} {_text(_shown(one.since, now))}")
    if one.build or one.by:
        parts.append(f"{_both('by')} {_by(one.build or one.by)}")
    if one.approved_by:
        parts.append(f"{_both('approved by')} {_text(one.approved_by)}")
    return " · ".join(parts)


def _by(author: str) -> str:
    """Return who deployed, a person or a build's URL, as HTML."""
    return page.link(author, _text(author))


def _shown(when: str, now: datetime) -> str:
    read = moment(when)
    return f"{read.astimezone(now.tzinfo):%Y-%m-%d %H:%M}" if read else when


def _matrix(deployments: Sequence[Deployment]) -> str:
    """Return codes by environments: columns where they fit a telephone, else rows."""
    environments = sorted({one.environment for one in deployments})
    codes: dict[str, dict[str, list[Deployment]]] = {}
    for one in deployments:
        codes.setdefault(one.code, {}).setdefault(one.environment, []).append(one)
    if not codes:
        return ""
    names = [_text(name) or (_both("Servers") if len(environments) == 1 else "–") for name in environments]
    if len(environments) <= _COLUMNS:
        rows = [[f"<b>{name}</b>" for name in (_both("Code"), *names)]]
        rows += [
            [f"<b>{_text(code)}</b>", *(_cell(there.get(name, ())) for name in environments)]
            for code, there in codes.items()
        ]
    else:
        rows = [
            [f"<b>{_text(code)}</b><br>{name}", _cell(there[environment])]
            for code, there in codes.items()
            for environment, name in zip(environments, names)
            if environment in there
        ]
    return f"<h2>{_both('What runs where')}</h2>\n" + page.table(rows)


def _cell(deployments: Iterable[Deployment]) -> str:
    """Return each state and version with the servers that have it."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for one in deployments:
        groups.setdefault((one.status, one.version, one.build), []).append(one.server)
    lines = [
        f"{_state(status)} {page.link(build, _version(version) or '–')}<br>{', '.join(map(_text, servers))}"
        for (status, version, build), servers in groups.items()
    ]
    return "<br>".join(lines) or "–"


def _events(deployments: Iterable[Deployment], now: datetime) -> list[_Event]:
    """Return the deploys of the last ``DAYS`` days, newest first: one for all servers that a run changed within an hour."""
    found: dict[tuple[str, ...], _Event] = {}
    for one in deployments:
        for attempt in one.deploys:
            when, outcome = moment(attempt.when), _outcome(attempt.action, attempt.outcome)
            if not when or not outcome or not timedelta() <= now - when <= timedelta(DAYS):
                continue
            key = (one.code, attempt.version, attempt.by, outcome, str(when)[:13])
            when = when.astimezone(now.tzinfo)
            event = found.setdefault(key, _Event(when, one.code, attempt.version, attempt.by, outcome))
            event.when = min(event.when, when)
            event.servers.append(one.server)
    return sorted(found.values(), key=lambda event: event.when, reverse=True)


def _outcome(action: str, outcome: str) -> str:
    if action not in ("deploy", "rollback"):
        return ""
    if outcome.partition(" ")[0] == "ok":
        return "deployed" if action == "deploy" else "rolled back"
    return "failed" if outcome.startswith("failed") else ""


def _timeline(events: Sequence[_Event], now: datetime) -> str:
    """Return a strip of time for each code that was deployed; positions are percentages, so that it fits every width."""
    codes: dict[str, list[_Event]] = {}
    for event in events[:_DRAWN]:
        codes.setdefault(event.code, []).append(event)
    heading = f"<h2>{_both('Deploys of the last {days} days', days=DAYS)}</h2>\n"
    if not codes:
        return heading + f"<p>{_both('none')}</p>"
    days = [f"{now - timedelta(number):%m-%d}" for number in (DAYS, DAYS // 2, 0)]
    places = (("0", "start"), ("50%", "middle"), ("100%", "end"))
    axis = "".join(
        f'<text x="{x}" y="12" font-size="12" fill="{GREY}" text-anchor="{anchor}">{day}</text>'
        for (x, anchor), day in zip(places, days)
    )
    rows = [(f"<b>{_both('Code')}</b>", _strip(16, axis))]
    rows += [(f"{_text(code)}<br>{_counts(found)}", _strip(20, _marks(found, now))) for code, found in codes.items()]
    legend = " ".join(
        f'<svg width="14" height="14" role="img">{_shape(outcome, "7", 7)}</svg> {_both(outcome)}' for outcome in _MARKS
    )
    lines = "".join(f'<tr><td width="30%">{name}</td><td>{strip}</td></tr>\n' for name, strip in rows)
    table = f'<table width="100%" border="1" cellpadding="4" cellspacing="0">\n{lines}</table>'
    more = len(events) - _DRAWN
    return f"{heading}<p>{legend}</p>\n{table}" + (
        f"<p>{_both('and {count} more', count=more)}</p>" if more > 0 else ""
    )


def _strip(height: int, content: str) -> str:
    return f'<svg width="100%" height="{height}">{content}</svg>'


def _counts(events: Sequence[_Event]) -> str:
    outcomes = [event.outcome for event in events]
    return ", ".join(f"{outcomes.count(name)} {_both(name)}" for name in _MARKS if name in outcomes)


def _marks(events: Iterable[_Event], now: datetime) -> str:
    """Return the marks of a code's deploys, each a link to its build and with its text for whoever points at it."""
    marks = []
    for event in events:
        # Two percent are left at both ends, so that no mark is cut.
        x = 98 - 96 * ((now - event.when) / timedelta(DAYS))
        title = f"{event.when:%Y-%m-%d %H:%M} {event.outcome} {event.version}: {', '.join(event.servers)}"
        marks.append(
            page.link(event.by, _shape(event.outcome, f"{x:.1f}%", 10, f"<title>{escape(short(title))}</title>"))
        )
    return '<rect width="100%" height="20" fill="#f5f5f5"/>' + "".join(reversed(marks))


def _shape(outcome: str, x: str, y: int, title: str = "") -> str:
    colour, shape = _MARKS[outcome]
    return f'<svg x="{x}" y="{y}" overflow="visible">{title}{shape.format(colour=colour)}</svg>'


def _latest(events: Sequence[_Event]) -> str:
    rows = [
        (
            f"{page.coloured(_MARKS[event.outcome][0], _both(event.outcome))}<br><nobr>{event.when:%Y-%m-%d %H:%M}</nobr>",
            f"<b>{_text(event.code)}</b> {_version(event.version)}<br>{_text(', '.join(event.servers))}<br>{_by(event.by)}",
        )
        for event in events[:_LISTED]
    ]
    return f"<h2>{_both('Latest deploys')}</h2>\n" + page.table(rows) if rows else ""
