"""The report of one run, as one HTML page in English and Chinese. Pure: results in, text out.

Jenkins shows archived pages under ``Content-Security-Policy: sandbox; default-src 'none'; style-src 'self'``: no script
and no inline style gets through. So the page is plain tables, and its picture an SVG with presentation attributes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

#: Every label of the page in both languages.
LABELS = {
    "Report": "报告",
    "done": "完成",
    "failed": "失败",
    "Code": "项目编码",
    "Version": "版本",
    "Digest": "摘要",
    "Commit": "提交",
    "Size": "大小",
    "Build": "构建",
    "Where it went": "去向",
    "Image": "镜像",
    "Servers": "服务器",
    "Server": "服务器",
    "State": "状态",
    "Problem": "问题",
    "Steps and seconds": "步骤与耗时（秒）",
    "Last lines": "最后几行输出",
    "What to do": "怎么办",
}
_COLOURS = {"ok": "#2e7d32", "failed": "#c62828"}
_ROW, _NAMES, _BARS = 22, 260, 480


def title(results: Sequence[Mapping[str, Any]]) -> str:
    """Return code and version of the run, as far as they are known."""
    return " ".join(filter(None, (_first(results, "code"), _first(results, "version"))))


def html(results: Sequence[Mapping[str, Any]], build_url: str) -> str:
    """Return the page for the answers of a run's commands, in their order. ``build_url`` may be empty."""
    ok = all(result.get("ok") for result in results)
    head = f"{title(results)}: {_both('done' if ok else 'failed')}"
    parts = [f"<h1>{escape(head)}</h1>", _facts(results, build_url)]
    for result in results:
        if result.get("error"):
            parts.append(_failure(result))
    parts += [_servers(results), f"<h2>{_both('Steps and seconds')}</h2>", _picture(_steps(results))]
    body = "\n".join(part for part in parts if part)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{escape(head)}</title></head>\n'
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _both(label: str) -> str:
    return f"{label} {LABELS[label]}"


def _first(results: Iterable[Mapping[str, Any]], name: str) -> str:
    return next((str(result[name]) for result in results if result.get(name)), "")


def _facts(results: Sequence[Mapping[str, Any]], build_url: str) -> str:
    size = _first(results, "size")
    rows = [
        ("Code", _first(results, "code")),
        ("Version", _first(results, "version")),
        ("Digest", _first(results, "digest")),
        ("Commit", _first(results, "revision")),
        ("Size", f"{int(size) / 1e6:.1f} MB" if size.isdigit() else ""),
        ("Build", build_url),
        ("Where it went", ", ".join(str(image) for result in results for image in result.get("published") or [])),
    ]
    return _table([(f"<b>{_both(label)}</b>", escape(value)) for label, value in rows if value])


def _failure(result: Mapping[str, Any]) -> str:
    error = result["error"]
    lines = "\n".join(map(str, error.get("details") or []))
    parts = [f"<h2>{escape(str(result['command']))}: {escape(str(error['message']))}</h2>"]
    if error.get("hint"):
        parts.append(f"<p><b>{_both('What to do')}:</b> {escape(str(error['hint']))}</p>")
    if lines:
        parts.append(f"<p>{_both('Last lines')}</p>\n<pre>{escape(lines)}</pre>")
    return "\n".join(parts)


def _servers(results: Sequence[Mapping[str, Any]]) -> str:
    servers = [server for result in results for server in result.get("servers") or []]
    if not servers:
        return ""
    head = tuple(f"<b>{_both(label)}</b>" for label in ("Server", "State", "Version", "Problem"))
    rows = [
        tuple(escape(str(server.get(key, ""))) for key in ("name", "status", "version", "error")) for server in servers
    ]
    return f"<h2>{_both('Servers')}</h2>\n" + _table([head, *rows])


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    lines = ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    return '<table border="1" cellpadding="4" cellspacing="0">\n' + "\n".join(lines) + "\n</table>"


def _steps(results: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, float]]:
    return [
        (f"{result['command']}: {step['name']}", str(step["status"]), float(step["seconds"]))
        for result in results
        for step in result.get("steps") or []
    ]


def _picture(steps: Sequence[tuple[str, str, float]]) -> str:
    """Draw one bar a step, as long as its share of the longest."""
    longest = max((seconds for _name, _status, seconds in steps), default=0.0) or 1.0
    height = _ROW * len(steps)
    rows = []
    for place, (name, status, seconds) in enumerate(steps):
        length = max(2, round(_BARS * seconds / longest))
        base = place * _ROW
        rows.append(
            f'<text x="{_NAMES - 8}" y="{base + 15}" text-anchor="end" font-size="13">{escape(name)}</text>'
            f'<rect x="{_NAMES}" y="{base + 4}" width="{length}" height="14" fill="{_COLOURS.get(status, "#9e9e9e")}"/>'
            f'<text x="{_NAMES + length + 6}" y="{base + 15}" font-size="13">{seconds:.2f}</text>'
        )
    width = _NAMES + _BARS + 80
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" role="img">\n' + "\n".join(rows) + "\n</svg>"
    )
