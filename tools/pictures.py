"""Write the pictures of the README, the terminal of a real `make demo` and the flow; `make pictures` runs this module.

Usage: python -m tools.pictures OUTPUT, where OUTPUT is what `make demo` printed.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "pictures"
_WIDTH = 146
#: Lines of a build's own log: they are counted and left out.
_BUILD_LOG = re.compile(r"\s*#\d+ ")
_STYLES = (
    (re.compile(r"── "), "bold cyan"),
    (re.compile(r"containerPipeline\(|@Library"), "bold yellow"),
    (re.compile(r"\s*\[Pipeline\] \{ \("), "bold blue"),
    (re.compile(r"\s*(?:build|registry|server)  |\s*Finished: SUCCESS|\s+http://"), "green"),
)


def lines(output: str) -> Iterator[str]:
    """Return the lines of the demo's first call and its effects; one line with their number replaces a build's log lines."""
    hidden, titles = 0, 0
    for line in output.replace(f"{ROOT}/", "").splitlines():
        titles += line.startswith("── ")
        if titles not in (1, 2):
            continue
        if _BUILD_LOG.match(line):
            hidden += 1
            continue
        if hidden:
            yield f"  ({hidden} lines of the build)"
            hidden = 0
        yield line.rstrip()


def terminal(output: str) -> str:
    """Return the demo's lines as an SVG of a terminal; it uses the reader's own fonts."""
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=_WIDTH, file=io.StringIO(), color_system="truecolor")
    console.print(Text("$ make demo", style="bold"))
    for line in lines(output):
        style = next((style for pattern, style in _STYLES if pattern.match(line)), "")
        console.print(Text(line, style=style), overflow="fold")
    svg = console.export_svg(title="make demo", unique_id="demo")
    svg = re.sub(r"@font-face\s*\{.*?\}", "", svg, flags=re.S)
    svg = re.sub(r"font-family: Fira Code", "font-family: ui-monospace, Menlo, Consolas, DejaVu Sans Mono", svg)
    return re.sub(r"[ \t]+\n", "\n", svg)


@dataclass(frozen=True)
class Box:
    x: int
    y: int
    width: int
    height: int
    title: str
    texts: tuple[str, ...] = ()
    fill: str = "#ffffff"


#: Texts that begin with a backquote are code.
_BOXES = (
    Box(20, 20, 240, 74, "Jenkinsfile", ("`containerPipeline(", "`  code: 'aglaia-web-re')"), "#fff7e0"),
    Box(20, 126, 240, 58, "a person", ("`container-pipeline ship",), "#fff7e0"),
    Box(
        330,
        52,
        200,
        100,
        "agent",
        ("one pure-Python program,", "carried by the library", "or installed by pip"),
        "#e8f1ff",
    ),
    Box(606, 20, 348, 58, "Docker engine", ("build, tag, push",)),
    Box(606, 112, 136, 64, "development", ("VERSION, latest",)),
    Box(818, 112, 136, 64, "production", ("VERSION, latest",)),
    Box(
        606,
        214,
        348,
        92,
        "servers, by SSH",
        ("`/docker/compose/CODE/", "lock, pull by digest, up -d, health:", "healthy, or the former release again"),
    ),
)
#: Arrows: start, end, label and the label's place, in points of the picture.
_ARROWS = (
    ((260, 57), (330, 90), "", (0, 0)),
    ((260, 155), (330, 120), "", (0, 0)),
    ((530, 80), (606, 49), "1 build", (560, 50)),
    ((678, 78), (678, 112), "2 push", (712, 99)),
    ((742, 144), (818, 144), "3 promote", (780, 136)),
    ((742, 144), (818, 144), "by digest", (780, 164)),
    ((530, 128), (606, 250), "4 deploy", (534, 200)),
    ((886, 176), (886, 214), "pull", (907, 199)),
)


def flow() -> str:
    """Return an SVG of the way of an image from a Jenkinsfile to the servers."""
    shapes = [_arrow(*arrow) for arrow in _ARROWS] + [_box(box) for box in _BOXES]
    style = (
        "text{font-family:system-ui,-apple-system,Segoe UI,Noto Sans,sans-serif;font-size:14px;fill:#1f2933}"
        ".title{font-weight:600;font-size:15px}.code{font-family:ui-monospace,Menlo,Consolas,DejaVu Sans Mono,monospace;font-size:12.5px}"
        ".small{font-size:12.5px;fill:#52606d}rect{stroke:#9aa5b1;stroke-width:1.2}"
        "path{stroke:#52606d;stroke-width:1.6;fill:none;marker-end:url(#head)}"
    )
    head = '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><polygon points="0,0 8,4 0,8" fill="#52606d"/></marker>'
    body = "\n".join(shapes)
    label = "From a Jenkinsfile or a command to registries and servers"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 974 326" role="img" aria-label="{label}">\n'
        f"<style>{style}</style>\n<defs>{head}</defs>\n"
        f'<rect x="0" y="0" width="974" height="326" rx="8" fill="#f5f7fa" style="stroke:none"/>\n{body}\n</svg>\n'
    )


def _box(box: Box) -> str:
    parts = [f'<rect x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" rx="7" fill="{box.fill}"/>']
    parts.append(_text(box.x + 14, box.y + 24, box.title, "title"))
    for number, text in enumerate(box.texts):
        kind = "code" if text.startswith("`") else "small"
        parts.append(_text(box.x + 14, box.y + 44 + 18 * number, text.lstrip("`"), kind))
    return "\n".join(parts)


def _text(x: int, y: int, text: str, kind: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" class="{kind}" text-anchor="{anchor}" xml:space="preserve">{escape(text)}</text>'


def _arrow(start: tuple[int, int], end: tuple[int, int], label: str, at: tuple[int, int]) -> str:
    line = f'<path d="M{start[0]},{start[1]} L{end[0]},{end[1]}"/>'
    return line + ("\n" + _text(*at, label, "small", "middle") if label else "")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "flow.svg").write_text(flow(), encoding="utf-8")
    output = Path(sys.argv[1]).read_text(encoding="utf-8")
    if "The build ended as" in output:
        sys.exit("this demo failed: no picture is made of it")
    (FOLDER / "demo.svg").write_text(terminal(output), encoding="utf-8")


if __name__ == "__main__":
    main()
