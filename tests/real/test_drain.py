"""With start-first, `drain` takes the old container out of a proxy before it stops, so that no request is lost."""

from __future__ import annotations

import json
import shutil
import threading
import time
import urllib.error
import urllib.request

import pytest

from lab.fixtures import missing_part
from real.site import Site
from real.test_start_first import names

#: The server's own nginx, in a container of the project: its image has only busybox.
_EDGE = """\
  edge:
    image: {image}
    command: [/usr/sbin/nginx, -c, /nginx.conf]
    ports: ["{port}:8000"]
    restart: always
    volumes: ["./nginx.conf:/nginx.conf:ro", "./edge:/edge:ro", "/usr:/usr:ro", "/usr/lib:/lib:ro", "/usr/lib64:/lib64:ro"]
"""
_NGINX = """\
daemon off; user root; pid /tmp/pid; error_log /dev/null;
events {}
http {
    access_log off; client_body_temp_path /tmp/1; proxy_temp_path /tmp/2; fastcgi_temp_path /tmp/3; uwsgi_temp_path /tmp/4;
    scgi_temp_path /tmp/5;
    upstream web { include /edge/upstream.conf; }
    server { listen 8000; location / { proxy_pass http://web; proxy_next_upstream off; } }
}
"""


@pytest.fixture
def behind_nginx(site: Site) -> Site:
    if not shutil.which("nginx"):
        missing_part("no nginx on this machine: Debian's package nginx-light has it")
    text = (site.folder / "docker-compose.yml").read_text()
    kept = [line for line in text.splitlines(keepends=True) if "ports:" not in line and "container_name" not in line]
    image = f"{site.registry.address}/{site.code}:{site.publish('plain')}"
    site.write("docker-compose.yml", "".join(kept) + _EDGE.format(image=image, port=site.port))
    site.write("nginx.conf", _NGINX)
    site.set("CONTAINER_PIPELINE_FILES", "nginx.conf")
    site.set("CONTAINER_PIPELINE_STRATEGY", "start-first")
    site.set("CONTAINER_PIPELINE_SETTLE", "1")
    site.servers[0].run(
        f"mkdir -p /docker/compose/{site.code}/edge && "
        f"echo 'server {site.code}:8080;' > /docker/compose/{site.code}/edge/upstream.conf"
    )
    return site


def drain(site: Site, script: str, seconds: int = 2) -> None:
    site.set("CONTAINER_PIPELINE_DRAIN", json.dumps({"seconds": seconds, "command": script}))


@pytest.mark.parametrize(
    ("deploys", "requests", "pause"),
    [(1, 50, 0.05), pytest.param(5, 10_000, 0, marks=[pytest.mark.matrix, pytest.mark.slow])],
    ids=["few", "many"],
)
def test_drained_deploys_lose_no_request(behind_nginx: Site, deploys: int, requests: int, pause: float):
    site = behind_nginx
    place = f"/docker/compose/{site.code}/edge"
    works = (
        'test "$SERVER" = server-1 && test -n "$VERSION" && test -n "$OLD" && '
        f'for one in $NEW; do echo "server $one:8080;"; done > {place}/upstream.conf && '
        "edge=$(docker ps -q --filter label=com.docker.compose.project=$CODE --filter label=com.docker.compose.service=edge) && "
        "docker exec $edge /usr/sbin/nginx -c /nginx.conf -s reload"
    )
    drain(site, works)
    assert site("deploy", "--version", site.publish("plain")).code == 0
    before = names(site)
    counts, lost = [0], list[str]()
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                with urllib.request.urlopen(f"http://{site.servers[0].host}:{site.port}/", timeout=20) as response:
                    response.read()
                counts[0] += 1
                over.wait(pause)
            except (OSError, urllib.error.URLError) as error:
                lost.append(str(error))

    clients = [threading.Thread(target=ask) for _client in range(2)]
    for client in clients:
        client.start()
    try:
        # A drain that fails keeps the old container.
        drain(site, "echo no such upstream >&2; exit 3")
        done = site("deploy", "--version", site.publish("plain"))
        assert done.code == 3, done.err
        assert "the drain command failed: no such upstream" in done.err
        assert names(site) == before
        drain(site, works)
        for _turn in range(deploys):
            done = site("deploy", "--version", site.publish("plain"))
            assert done.code == 0, done.err
            assert "draining the old container" in done.err
        while counts[0] < requests and not lost:
            time.sleep(0.1)
    finally:
        over.set()
        for client in clients:
            client.join()
    assert lost == []


def test_drain_without_start_first_is_refused(site: Site):
    site.set("CONTAINER_PIPELINE_DRAIN", "5")
    done = site("deploy", "--version", site.publish())
    assert done.code == 1
    assert "`drain` needs `strategy: start-first`" in done.err
