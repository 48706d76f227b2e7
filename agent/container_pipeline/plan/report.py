"""The report of one run, as one HTML page in English and Chinese. Pure: results in, text out.

Jenkins shows archived pages under ``Content-Security-Policy: sandbox; default-src 'none'; style-src 'self'``: no script
and no inline style gets through. So the page is plain tables; colours are attributes, and a bar is an SVG with presentation attributes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from container_pipeline.errors import OvertakenError
from container_pipeline.outside import pick

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
GREEN, RED, GREY = "#2e7d32", "#c62828", "#757575"
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
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(head)}</title></head>\n'
        f'<body bgcolor="#ffffff" text="#212121">\n{body}\n</body>\n</html>\n'
    )


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
    return (
        f'<table width="100%" cellpadding="12" cellspacing="0"><tr><td bgcolor="{colour}">'
        f'<font size="5" color="#ffffff"><b>{text}</b></font></td></tr></table>'
    )


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
    link = escape(origin.url, quote=True)
    rows = [
        ("Code", _text(_first(results, "code"))),
        ("Version", _text(_first(results, "version"))),
        ("Before", _text(", ".join(former))),
        ("Who", _text(origin.who)),
        ("Approved by", _text(_first(results, "approved_by"))),
        ("Branch", _text(origin.branch)),
        ("Commit", _text(_first(results, "revision"))),
        ("When", _text(origin.when)),
        ("How long", f"{seconds:.1f} s" if seconds else ""),
        (
            "Build",
            f'<a href="{link}">{_text(origin.url)}</a>' if origin.url.startswith(("http://", "https://")) else "",
        ),
        ("Size", f"{int(size) / 1e6:.1f} MB" if size.isdigit() else ""),
        ("Digest", _text(_first(results, "digest"))),
        ("Where it went", _text(", ".join(str(name) for result in results for name in result.get("published") or []))),
    ]
    return "<br>\n" + _table([(f"<b>{_both(label)}</b>", value) for label, value in rows if value])


def _text(value: str) -> str:
    """Return ``value`` as HTML that may wrap after punctuation and within long words."""
    pieces = re.findall(r"[^/:@.,_-]{1,16}[/:@.,_-]?|[/:@.,_-]", value)
    return "<wbr>".join(escape(piece) for piece in pieces)


def _failure(result: Mapping[str, Any]) -> str:
    error = result["error"]
    rows = [str(error["message"])]
    rows += [
        str(server["error"]) for server in result.get("servers") or [] if server.get("error") not in ("", rows[0], None)
    ]
    parts = [
        f"<h2>{escape(str(result['command']))} {_both(_ending([result]))}</h2>",
        *(f"<p>{_words(row)}</p>" for row in rows),
    ]
    hints = [str(server["hint"]) for server in result.get("servers") or [] if server.get("hint")]
    for hint in dict.fromkeys([*([str(error["hint"])] if error.get("hint") else []), *hints]):
        parts.append(f"<p><b>{_both('What to do')}:</b> {_words(hint)}</p>")
    lines = [str(line) for line in error.get("details") or []][-_LAST:]
    if lines:
        # No <pre>: a long line would make the whole page scroll sideways.
        shown = "<br>\n".join(_words(line) for line in lines)
        parts.append(
            f"<p><b>{_both('Last lines')}</b></p>\n"
            f'<table width="100%" cellpadding="8"><tr><td bgcolor="#f5f5f5"><code>{shown}</code></td></tr></table>'
        )
    return "\n".join(parts)


def _words(text: str) -> str:
    """Return a sentence or a log line as HTML; only long words may wrap within."""
    return " ".join(_text(word) if len(word) > 24 else escape(word) for word in text.split(" "))


def _servers(results: Sequence[Mapping[str, Any]]) -> str:
    servers = _all_servers(results)
    if not servers:
        return ""
    head = tuple(f"<b>{_both(label)}</b>" for label in ("Server", "State", "Version"))
    rows = [
        (
            _text(str(server.get("name", ""))),
            _state(str(server.get("status", ""))),
            _text(str(server.get("version", ""))),
        )
        for server in servers
    ]
    return f"<h2>{_both('Servers')}</h2>\n" + _table([head, *rows])


def _state(status: str) -> str:
    colour = GREEN if status == "ok" else GREY if status in ("skipped", "overtaken") else RED
    return f'<font color="{colour}"><b>{escape(status)}</b></font>'


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    lines = ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    return '<table border="1" cellpadding="4" cellspacing="0">\n' + "\n".join(lines) + "\n</table>"


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
        rows.append((f"{_text(command)}: {_text(str(step['name']))}", _state(status), f"{seconds:.1f} s", bar))
    return f"<h2>{_both('Steps')}</h2>\n" + _table(rows)
