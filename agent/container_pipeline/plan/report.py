"""The report of one run, as one HTML page in English and Chinese. Pure: results in, text out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from container_pipeline.errors import OvertakenError
from container_pipeline.outside import pick
from container_pipeline.plan import page
from container_pipeline.plan.page import GREEN, GREY, RED

#: Every label of the page in both languages.
LABELS = {
    "runs on": "已运行在",
    "is done": "已完成",
    "failed": "失败",
    "overtaken by a later build": "已有更晚的构建",
    "Code": "项目代号",
    "Version": "版本",
    "Before": "之前的版本",
    "Digest": "摘要",
    "Commit": "提交",
    "Branch": "分支",
    "Approved by": "批准人",
    "Who": "触发者",
    "When": "时间",
    "How long": "耗时",
    "Size": "大小",
    "Build": "构建",
    "Where it went": "去向",
    "Servers": "服务器",
    "Server": "服务器",
    "State": "状态",
    "Problem": "问题",
    "Steps": "步骤",
    "Last lines": "最后几行输出",
    "What to do": "怎么办",
}
_COLOURS = {"ok": GREEN, "failed": RED}
#: Longest bar in pixels; it fits beside name and seconds on a page of 360.
_BAR = 90
_LAST = 40


@dataclass(frozen=True)
class BuildOrigin:
    """The origin of a run, from Jenkins; each field may be empty. ``when`` is a time in ISO 8601."""

    url: str = ""
    branch: str = ""
    who: str = ""
    when: str = ""


def title(results: Sequence[Mapping[str, Any]]) -> str:
    """Return code and version of the run, as far as they are known."""
    return " ".join(filter(None, (_first(results, "code"), _first(results, "version"))))


def html(results: Sequence[Mapping[str, Any]], origin: BuildOrigin) -> str:
    """Return the page for the results of a run's commands, in order."""
    failed = [result for result in results if result.get("error")]
    parts = [
        _verdict(results, failed),
        *map(_failure, failed),
        _facts(results, origin),
        _servers(results),
        _steps(results),
    ]
    body = "\n".join(part for part in parts if part)
    head = f"{title(results)}: {_both(_ending(failed))}"
    return page.document(head, body)


def _ending(failed: Sequence[Mapping[str, Any]]) -> str:
    if failed and overtaken(failed[0]):
        return "overtaken by a later build"
    return "failed" if failed else "is done"


def overtaken(result: Mapping[str, Any]) -> bool:
    """Return whether a command changed nothing because a release that was built later runs."""
    return bool(pick(pick(result, "error", dict), "category", str) == OvertakenError.category)


def _verdict(results: Sequence[Mapping[str, Any]], failed: Sequence[Mapping[str, Any]]) -> str:
    """Return one sentence in one colour: what runs where, or what failed."""
    what = escape(title(results))
    if failed:
        command = escape(str(failed[0]["command"]))
        sign = "–" if overtaken(failed[0]) else "✘"
        text = f"{sign} {what}: {command} {_both(_ending(failed))}"
    else:
        names = ", ".join(escape(str(server.get("name", ""))) for server in _all_servers(results))
        text = f"✔ {what} {_both('runs on')} {names}" if names else f"✔ {what} {_both('is done')}"
    colour = GREEN if not failed else GREY if overtaken(failed[0]) else RED
    return page.verdict(colour, text)


def _both(label: str) -> str:
    return f"{label} {LABELS[label]}"


def _first(results: Iterable[Mapping[str, Any]], name: str) -> str:
    return next((str(result[name]) for result in results if result.get(name)), "")


def _all_servers(results: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [server for result in results for server in result.get("servers") or []]


def _facts(results: Sequence[Mapping[str, Any]], origin: BuildOrigin) -> str:
    size = _first(results, "size")
    seconds = sum(float(step["seconds"]) for result in results for step in result.get("steps") or [])
    former = dict.fromkeys(str(server["former"]) for server in _all_servers(results) if server.get("former"))
    rows = [
        ("Code", page.text(_first(results, "code"))),
        ("Version", page.text(_first(results, "version"))),
        ("Before", page.text(", ".join(former))),
        ("Who", page.text(origin.who)),
        ("Approved by", page.text(_first(results, "approved_by"))),
        ("Branch", page.text(origin.branch)),
        ("Commit", page.text(_first(results, "revision"))),
        ("When", page.text(origin.when)),
        ("How long", f"{seconds:.1f} s" if seconds else ""),
        (
            "Build",
            page.link(origin.url, page.text(origin.url)) if origin.url.startswith(("http://", "https://")) else "",
        ),
        ("Size", f"{int(size) / 1e6:.1f} MB" if size.isdigit() else ""),
        ("Digest", page.text(_first(results, "digest"))),
        (
            "Where it went",
            page.text(", ".join(str(name) for result in results for name in result.get("published") or [])),
        ),
    ]
    return "<br>\n" + page.table([(f"<b>{_both(label)}</b>", value) for label, value in rows if value])


def _failure(result: Mapping[str, Any]) -> str:
    error = result["error"]
    rows = [str(error["message"])]
    rows += [
        str(server["error"]) for server in result.get("servers") or [] if server.get("error") not in ("", rows[0], None)
    ]
    parts = [
        f"<h2>{escape(str(result['command']))} {_both(_ending([result]))}</h2>",
        *(f"<p>{page.words(row)}</p>" for row in rows),
    ]
    hints = [str(server["hint"]) for server in result.get("servers") or [] if server.get("hint")]
    for hint in dict.fromkeys([*([str(error["hint"])] if error.get("hint") else []), *hints]):
        parts.append(f"<p><b>{_both('What to do')}:</b> {page.words(hint)}</p>")
    lines = [str(line) for line in error.get("details") or []][-_LAST:]
    if lines:
        # No <pre>: a long line would make the whole page scroll sideways.
        shown = "<br>\n".join(page.words(line) for line in lines)
        parts.append(
            f"<p><b>{_both('Last lines')}</b></p>\n"
            f'<table width="100%" cellpadding="8"><tr><td bgcolor="#f5f5f5"><code>{shown}</code></td></tr></table>'
        )
    return "\n".join(parts)


def _servers(results: Sequence[Mapping[str, Any]]) -> str:
    servers = _all_servers(results)
    if not servers:
        return ""
    head = tuple(f"<b>{_both(label)}</b>" for label in ("Server", "State", "Version"))
    rows = [
        (
            page.text(str(server.get("name", ""))),
            _state(str(server.get("status", ""))),
            page.text(str(server.get("version", ""))),
        )
        for server in servers
    ]
    return f"<h2>{_both('Servers')}</h2>\n" + page.table([head, *rows])


def _state(status: str) -> str:
    colour = GREEN if status == "ok" else GREY if status in ("skipped", "overtaken") else RED
    return page.coloured(colour, escape(status))


def _steps(results: Sequence[Mapping[str, Any]]) -> str:
    """Return a row for each step, with a bar relative to the longest step."""
    steps = [(str(result["command"]), step) for result in results for step in result.get("steps") or []]
    if not steps:
        return ""
    longest = max(float(step["seconds"]) for _command, step in steps) or 1.0
    rows = []
    for command, step in steps:
        seconds, status = float(step["seconds"]), str(step["status"])
        length = max(2, round(_BAR * seconds / longest))
        bar = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{length}" height="12" role="img">'
            f'<rect width="{length}" height="12" fill="{_COLOURS.get(status, GREY)}"/></svg>'
        )
        rows.append((f"{page.text(command)}: {page.text(str(step['name']))}", _state(status), f"{seconds:.1f} s", bar))
    return f"<h2>{_both('Steps')}</h2>\n" + page.table(rows)
