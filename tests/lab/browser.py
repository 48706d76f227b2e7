"""Shows a page in Debian's Chromium, without a screen, as Jenkins serves archived files, and tells what a person would see."""

from __future__ import annotations

import base64
import fcntl
import functools
import json
import os
import select
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lab.fixtures import missing_part

#: Jenkins' default for archived files.
POLICY = "sandbox; default-src 'none'; img-src 'self'; style-src 'self';"
#: Seconds for one answer of the browser.
_PATIENCE = 60
#: Returns the page's width, its links, and each text that has less than 4.5 : 1 against what is behind it (WCAG 2.1, AA).
_LOOK = """
(() => {
  const rgb = text => (text.match(/[0-9.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (let one = element; one; one = one.parentElement) {
      const colour = rgb(getComputedStyle(one).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (!node.data.trim() || node.parentElement.closest('title')) continue;
    const style = getComputedStyle(node.parentElement);
    const front = light(rgb(node.parentElement.closest('svg') ? style.fill : style.color));
    const back = light(behind(node.parentElement));
    const contrast = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    if (contrast < 4.5) faint.push(node.data.trim());
  }
  return {
    width: document.documentElement.scrollWidth,
    links: [...document.querySelectorAll('a')].map(one => one.getAttribute('href')),
    text: document.body.innerText,
    elements: [...new Set([...document.querySelectorAll('*')].map(one => one.localName))],
    faint: faint,
  };
})()
"""


@dataclass
class Sight:
    """What a page is like in a window: ``width`` is what it needs, in pixels; ``faint`` are texts without contrast."""

    width: int
    links: list[str]
    text: str
    elements: list[str]
    faint: list[str]
    #: What the browser reports of the page: errors, and what the policy refused.
    complaints: list[str] = field(default_factory=list)
    picture: bytes = b""


class Browser:
    """A Chromium that is driven through a pair of pipes, in the protocol of Chrome's DevTools."""

    def __init__(self, program: str, profile: Path) -> None:
        there, self._out = _pipe()
        self._in, back = _pipe()
        # --no-sandbox: root's Chromium has none.
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", f"--user-data-dir={profile}"]
        wires = f'exec "$0" "$@" 3<&{there} 4>&{back} {there}<&- {back}>&-'
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(["bash", "-c", wires, program, *flags], pass_fds=(there, back), **quiet)
        os.close(there)
        os.close(back)
        self._number = 0
        self._rest = b""
        self._events: list[dict[str, Any]] = []

    def close(self) -> None:
        os.close(self._out)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)

    def look(self, address: str, width: int, *, media: str = "screen", picture: int = 0) -> Sight:
        """Load a page in a window of ``width`` pixels; ``media`` may be print. ``picture`` is the height of a picture (WebP)."""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._events.clear()
        for domain in ("Page", "Log", "Runtime", "Network"):
            self._call(f"{domain}.enable", session)
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", session, **size)
        self._call("Emulation.setEmulatedMedia", session, media=media)
        self._call("Page.navigate", session, url=address)
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            self._events.append(self._read())
        found = self._call("Runtime.evaluate", session, expression=_LOOK, returnByValue=True)["result"]["value"]
        sight = Sight(**found, complaints=[*map(json.dumps, filter(_complains, self._events))])
        if picture:
            clip = {"x": 0, "y": 0, "width": width, "height": picture, "scale": 1}
            more = {"format": "webp", "quality": 70, "captureBeyondViewport": True}
            shot = self._call("Page.captureScreenshot", session, clip=clip, **more)
            sight.picture = base64.b64decode(shot["data"])
        self._call("Target.closeTarget", targetId=target)
        return sight

    def _call(self, method: str, session: str = "", /, **params: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return dict(answer["result"])
            self._events.append(answer)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            assert select.select([self._in], [], [], _PATIENCE)[0], "the browser does not answer"
            data = os.read(self._in, 1 << 20)
            assert data, "the browser has ended"
            self._rest += data
        line, _end, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(line))


def _pipe() -> tuple[int, int]:
    """Return the ends of a pipe, with numbers that are not those which Chromium reads and writes at, 3 and 4."""
    ends = os.pipe()
    high = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, 10) for one in ends]
    for one in ends:
        os.close(one)
    return high[0], high[1]


def _complains(event: dict[str, Any]) -> bool:
    """Return whether the browser reports an error of the page. It asks for an icon that no server has to have."""
    entry = event["params"].get("entry", {})
    if entry.get("url", "").endswith("/favicon.ico"):
        return False
    return event["method"] in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled") or entry.get("level") == "error"


@contextmanager
def browser() -> Iterator[Browser]:
    """A Chromium of this test; without one on this machine, skip, or fail in CI."""
    program = shutil.which("chromium")
    if not program:
        missing_part("no chromium on this machine: Debian's package chromium has it")
    with TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        one = Browser(program, Path(profile))
        try:
            yield one
        finally:
            one.close()


@contextmanager
def archive(folder: Path) -> Iterator[str]:
    """The files of a folder under Jenkins' policy; yields their address."""

    class Handler(SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            self.send_header("Content-Security-Policy", POLICY)
            super().end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
