"""Draws results.json as docs/pictures/bench.svg: one bar a side, in seconds, each benchmark to its own scale.

Run by `make bench` behind the benchmarks: ``python -m bench.plot``. Plain SVG, so that it is shown everywhere.
"""

from __future__ import annotations

import json
from html import escape
from pathlib import Path

from bench.record import RESULTS

PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "bench.svg"
OURS, OTHERS = "#1f6feb", "#9aa4ae"
WIDTH, NAMES, BAR, ROW, GAP = 860, 250, 420, 20, 34


def draw(results: dict[str, dict[str, object]]) -> str:
    """Return the picture of all benchmarks that have sides to compare."""
    shapes, y, machines = [], 20, set()
    for title, result in sorted(results.items()):
        rows = result.get("rows")
        if not isinstance(rows, dict) or len(rows) < 2:
            continue
        machines.add(f"{result['machine']}, {result['day']}")
        shapes.append(f'<text x="10" y="{y + 4}" font-weight="bold">{escape(title)}</text>')
        y += 12
        longest = max(row["median"] for row in rows.values()) or 1
        for place, (name, row) in enumerate(rows.items()):
            shapes += _bar(name, row, row["median"] / longest, y + place * ROW, OURS if place == 0 else OTHERS)
        y += len(rows) * ROW + GAP
    shapes += [
        f'<text x="10" y="{y + 4 + 16 * number}" fill="#57606a">{escape(text)}</text>'
        for number, text in enumerate(["median wall seconds; thin line: fastest to slowest run", *sorted(machines)])
    ]
    height = y + 16 * (len(machines) + 2)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    style = ' font-family="sans-serif" font-size="13">'
    return "\n".join([head + style, f'<rect width="{WIDTH}" height="{height}" fill="white"/>', *shapes, "</svg>", ""])


def _bar(name: str, row: dict[str, float], share: float, y: int, colour: str) -> list[str]:
    scale = BAR * share / row["median"] if row["median"] else 0
    low, high = NAMES + row["min"] * scale, min(NAMES + row["max"] * scale, WIDTH - 150)
    ratio = "" if colour == OURS else f"  (ours takes {row['ratio']:.2f} of it)"
    return [
        f'<text x="{NAMES - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>',
        f'<rect x="{NAMES}" y="{y + 3}" width="{max(BAR * share, 1):.1f}" height="14" fill="{colour}"/>',
        f'<path d="M{low:.1f} {y + 10}H{high:.1f}" stroke="#24292f" stroke-width="1"/>',
        f'<text x="{NAMES + max(BAR * share, high - NAMES) + 8:.1f}" y="{y + 14}">{row["median"]:.2f} s{ratio}</text>',
    ]


def main() -> None:
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(draw(json.loads(RESULTS.read_text(encoding="utf-8"))), encoding="utf-8")
    print(PICTURE)


if __name__ == "__main__":
    main()
