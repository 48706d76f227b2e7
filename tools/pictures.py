"""Write the pictures of the documents: the terminal of a real `make demo`, the flow, and the fleet's page in Chromium.

Usage: python -m tools.pictures OUTPUT, where OUTPUT is what `make demo` printed; `make pictures` does it.
"""

from __future__ import annotations

import io
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
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


def fleet() -> str:
    """Return the page of a small company's fleet."""
    from container_pipeline.plan.deploy import Holding
    from container_pipeline.plan.fleet import Attempt, Deployment, Trouble, ordered
    from container_pipeline.plan.fleet_page import Silent, html

    now = datetime(2026, 11, 27, 8, 0, tzinfo=timezone(timedelta(hours=8)))

    def deploys(code: str, *found: tuple[float, str, str]) -> tuple[Attempt, ...]:
        """Deploys, as days ago, action and outcome."""
        builds = [f"https://jenkins.example/job/{code}/{number}/" for number in range(41, 41 + len(found))]
        return tuple(
            Attempt(
                (now - timedelta(days)).astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "lin@desk" if action == "rollback" else build,
                action,
                (now - timedelta(days, minutes=4)).strftime("%Y%m%d%H%M%S"),
                outcome,
            )
            for (days, action, outcome), build in zip(found, builds)
        )

    histories = {
        "aglaia-web-re": ((12.1, "deploy", "ok"), (6.2, "deploy", "ok"), (1.7, "deploy", "ok")),
        "aglaia-ui-re": ((9.4, "deploy", "ok"), (3.6, "deploy", "failed unhealthy"), (3.5, "deploy", "ok")),
        "aglaia-shop-re": ((5.3, "deploy", "ok"), (0.9, "deploy", "ok"), (0.8, "rollback", "ok")),
        "aglaia-mail-re": ((10.6, "deploy", "ok"),),
    }
    states = {
        ("aglaia-web-re", "web-2"): {
            "status": "problem",
            "problems": (
                Trouble("unhealthy", "", "aglaia-web-re is unhealthy"),
                Trouble("edited", "", ".env was edited"),
            ),
        },
        ("aglaia-shop-re", "web-1"): {
            "status": "held",
            "hold": Holding("lin@desk", "2026-11-26T12:20:00Z", "the database is being moved"),
        },
    }
    found = []
    for code, history in histories.items():
        past = deploys(code, *history)
        for server in ("web-1", "web-2", "test-1"):
            running = past[-2] if past[-1].action == "rollback" else past[-1]
            one = Deployment(
                server=server,
                root="/docker/compose",
                code=code,
                environment="test" if server == "test-1" else "prod",
                version=running.version,
                since=past[-1].when,
                build=running.by,
                approved_by="" if server == "test-1" else "chen",
                deploys=past,
            )
            found.append(replace(one, **states.get((code, server), {})))  # type: ignore[arg-type]
    silent = [Silent("web-3", "web-3: no connection within 10 seconds", "see whether it is up: ssh deploy@web-3")]
    return html(ordered(found), silent, now, "https://jenkins.example/job/fleet/212/")


def screenshot(page: str) -> bytes:
    """Return a picture (WebP) of the upper part of a page as Chromium shows it."""
    from lab.browser import archive, browser

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "page.html").write_text(page, encoding="utf-8")
        with browser() as chromium, archive(Path(folder)) as address:
            return chromium.look(address + "page.html", 900, picture=1280).picture


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "fleet.webp").write_bytes(screenshot(fleet()))
    (FOLDER / "flow.svg").write_text(flow(), encoding="utf-8")
    output = Path(sys.argv[1]).read_text(encoding="utf-8")
    if "The build ended as" in output:
        sys.exit("this demo failed: no picture is made of it")
    (FOLDER / "demo.svg").write_text(terminal(output), encoding="utf-8")


if __name__ == "__main__":
    main()
