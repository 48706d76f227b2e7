"""Draw the results of `make bench` as one picture that names the machine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "tests" / "bench" / "results.json"
TARGET = ROOT / "docs" / "pictures" / "bench.svg"

_NAMES = {
    "ours": "container-pipeline",
    "by_hand": "by hand: ssh and scp, 4 calls",
    "docker_host": "Compose by ssh://",
    "floor": "floor: bare SSH",
    "ansible": "Ansible",
    "kamal": "Kamal",
    "crane_latest": "crane, latest moved too",
    "python": "the start of Python alone",
}
_LEFT, _RIGHT, _WIDTH = 230, 760, 860
_TITLE, _BAR, _GAP = 26, 20, 16
_STYLE = (
    "text{font-family:system-ui,-apple-system,Segoe UI,Noto Sans,sans-serif;font-size:13px;fill:#1f2933}"
    ".title{font-weight:600;font-size:14px}.small{fill:#52606d;font-size:12px}"
    ".ours{fill:#2f6fde}.other{fill:#b8c4d0}line{stroke:#52606d;stroke-width:1.2}"
)


def picture(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return bars for each benchmark, ours beside peers, on a scale of its own: medians, with lines from best to worst."""
    parts: list[str] = []
    y = 20
    for title, result in results.items():
        rows = {name: row for name, row in result.get("rows", {}).items() if "median" in row}
        if "ours" not in rows or len(rows) < 2:
            continue
        parts.append(_text(20, y + 14, title, "title"))
        y += _TITLE
        scale = (_RIGHT - _LEFT) / max(row["max"] for row in rows.values())
        for name, row in sorted(rows.items(), key=lambda one: one[0] != "ours"):
            parts.extend(_bar(name, row, y, scale))
            y += _BAR
        y += _GAP
    machines = sorted({f"{result['machine']}, {result['day']}" for result in results.values() if "machine" in result})
    for line in ("Seconds; medians, lines from best to worst.", *machines):
        parts.append(_text(20, y + 10, line, "small"))
        y += 17
    height = y + 9
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="Benchmarks">\n'
        f'<style>{_STYLE}</style>\n<rect width="{_WIDTH}" height="{height}" rx="8" fill="#f5f7fa"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _bar(name: str, row: Mapping[str, float], y: int, scale: float) -> Iterator[str]:
    ours = name == "ours"
    yield _text(_LEFT - 10, y + 13, _NAMES.get(name, name), "", "end")
    width = max(1.5, row["median"] * scale)
    yield f'<rect x="{_LEFT}" y="{y + 2}" width="{width:.1f}" height="14" rx="2" class="{"ours" if ours else "other"}"/>'
    low, high = _LEFT + row["min"] * scale, _LEFT + row["max"] * scale
    yield f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y + 9}" y2="{y + 9}"/>'
    yield _text(max(int(high), int(_LEFT + width)) + 8, y + 13, f"{row['median']:g}", "small")


def _text(x: int, y: int, text: str, kind: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


if __name__ == "__main__":
    TARGET.write_text(picture(json.loads(RESULTS.read_text(encoding="utf-8"))), encoding="utf-8")
