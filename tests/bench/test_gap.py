"""How many requests a deploy costs behind nginx, which finds the containers by Docker's DNS.

Run with `make bench`. The counts are recorded beside those of the same time without a deploy; nothing is asserted about them.
"""

from __future__ import annotations

import shutil
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.record import keep
from lab.handle import Lab
from real.site import Site

DEPLOYS = 5
#: The server's own nginx in a container of the project; the image is empty, and nginx is mounted into it.
_EDGE = """\
  edge:
    image: {image}
    command: [/usr/sbin/nginx, -c, /nginx.conf]
    ports: ["{port}:8000"]
    volumes: ["./nginx.conf:/nginx.conf:ro", "/usr:/usr:ro", "/usr/lib:/lib:ro", "/usr/lib64:/lib64:ro"]
"""
_NGINX = """\
daemon off; user root; pid /tmp/pid; error_log /dev/null;
events {{}}
http {{
    access_log off; client_body_temp_path /tmp/1; proxy_temp_path /tmp/2; fastcgi_temp_path /tmp/3; uwsgi_temp_path /tmp/4;
    scgi_temp_path /tmp/5;
    resolver 127.0.0.11 valid=1s;
    server {{ listen 8000; location / {{ set $web {code}; proxy_pass http://$web:8080; proxy_connect_timeout 1s; {more} }} }}
}}
"""


def counted(url: str, work: Callable[[], object]) -> dict[str, int]:
    """Return how many requests were answered and how many were lost while ``work`` was done."""
    counts = {"answered": 0, "lost": 0}
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.005):
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    answer.read()
                counts["answered"] += 1
            except (OSError, urllib.error.URLError):
                counts["lost"] += 1

    client = threading.Thread(target=ask)
    client.start()
    try:
        work()
    finally:
        over.set()
        client.join()
    return counts


@pytest.mark.parametrize(
    ("strategy", "more"),
    [("recreate", ""), ("start-first", ""), ("start-first", "proxy_next_upstream off;")],
    ids=["recreate", "start-first", "start-first without retries"],
)
def test_requests_lost_in_deploys(
    lab: Lab, code: str, port: int, tmp_path: Path, monkeypatch, capsys, request, strategy: str, more: str
):
    if not shutil.which("nginx"):
        pytest.skip("no nginx on this machine: Debian's package nginx-light has it")
    site = Site(lab, code, port, tmp_path, monkeypatch, capsys).on(lab.servers[0])
    text = (site.folder / "docker-compose.yml").read_text()
    kept = [line for line in text.splitlines(keepends=True) if "ports:" not in line and "container_name" not in line]
    image = f"{site.registry.address}/{site.code}:{site.publish('plain')}"
    site.write("docker-compose.yml", "".join(kept) + _EDGE.format(image=image, port=site.port))
    site.write("nginx.conf", _NGINX.format(code=site.code, more=more))
    site.set("CONTAINER_PIPELINE_FILES", "nginx.conf")
    site.set("CONTAINER_PIPELINE_STRATEGY", strategy)
    site.deployed()
    versions = [site.publish() for _turn in range(DEPLOYS)]

    def deploys() -> None:
        for version in versions:
            assert site("deploy", "--version", version).code == 0

    url = f"http://{site.servers[0].host}:{site.port}/"
    begin = time.monotonic()
    during = counted(url, deploys)
    seconds = time.monotonic() - begin
    without = counted(url, lambda: time.sleep(seconds))
    assert without["answered"], "nginx answers nothing"
    name = request.node.callspec.id
    rows = {"deploys": during, "no deploy": without}
    keep(f"Requests lost behind nginx: {name}", {"rows": rows, "deploys": DEPLOYS, "seconds": round(seconds)})
    print(f"{name}: {during} in {DEPLOYS} deploys of {seconds:.0f} s in all; {without} in the same time without one")
