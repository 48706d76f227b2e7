"""A deploy is well when the new container also responds over HTTP as `check` says, asked from the server."""

from __future__ import annotations

import json
import os
import shutil
import socketserver
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from container_pipeline.remote import transfer
from real.site import Site
from real.test_start_first import names, start_of

_HEAD = "trap 'exit 0' TERM; mkdir -p /www/cgi-bin; echo fine > /www/index.html\n"
#: This one is late, and speaks HTTP/1.0, as plainly as possible, and nothing else.
_PLAIN = """\
trap 'exit 0' TERM
cat > /plain <<'X'
#!/bin/sh
read -r line
# All of the request: what is left unread would reset the connection.
while read -r more && [ "${more%?}" ]; do :; done
case $line in 'GET /cgi-bin/health HTTP/1.'*) printf 'HTTP/1.0 200 OK\\r\\n\\r\\nfine\\n' ;; esac
X
chmod 755 /plain; sleep 4; nc -ll -p 8080 -e /plain & wait
"""
_SERVE = "httpd -f -p 8080 -h /www & wait\n"


def script(status: str, line: str = "") -> str:
    """Return an entry script that serves /cgi-bin/health with this status and first line."""
    response = f"Status: {status}\\r\\nContent-Type: text/plain\\r\\n\\r\\n{line}\\n"
    return f"{_HEAD}cat > /www/cgi-bin/health <<'X'\n#!/bin/sh\nprintf '{response}'\nX\nchmod 755 /www/cgi-bin/health\n{_SERVE}"


@pytest.fixture
def service(either: Site) -> Site:
    """A service without HEALTHCHECK and published ports, which does what conf/entry says."""
    site = either
    text = (site.folder / "docker-compose.yml").read_text()
    kept = [line for line in text.splitlines(keepends=True) if "ports:" not in line and "container_name" not in line]
    site.write(
        "docker-compose.yml", "".join(kept) + "    volumes: ['./conf:/conf:ro']\n    command: [sh, /conf/entry]\n"
    )
    site.set("CONTAINER_PIPELINE_FILES", "conf")
    site.set("CONTAINER_PIPELINE_SETTLE", "1")
    return site


def check(site: Site, path: str = "/cgi-bin/health", **more: object) -> None:
    site.set("CONTAINER_PIPELINE_CHECK", json.dumps({"path": path, "port": 8080, "within": 2, **more}))


def deploy(site: Site, entry: str) -> tuple[int, str]:
    site.write("conf/entry", entry)
    done = site("deploy", "--version", site.publish("plain"))
    return done.code, done.err


def test_check_decides_about_a_new_release(service: Site, monkeypatch: pytest.MonkeyPatch):
    site = service
    # A service may be late: it is told that nothing responds, but not at each try.
    check(site, within=30)
    code, err = deploy(site, _PLAIN)
    assert code == 0, err
    assert 1 <= err.count("does not respond to GET /cgi-bin/health") <= 3
    # With start-first, a check that fails leaves the old container as it is.
    check(site)
    site.set("CONTAINER_PIPELINE_STRATEGY", "start-first")
    [old] = names(site)
    started = start_of(site, old)
    for entry, sentence in (
        (
            script("500 Broken", "no | database\\nsecond line"),
            "responds to GET /cgi-bin/health with 500: no / database",
        ),
        (_HEAD + _SERVE.replace("-p 8080", "-p 127.0.0.1:8080"), "does not respond to GET /cgi-bin/health"),
    ):
        code, err = deploy(site, entry)
        assert (code, sentence in err, "second line" in err) == (3, True, False), err
        assert (names(site), start_of(site, old)) == ([old], started)
    # A server without any program that speaks HTTP is told so before the switch.
    genuine: Callable[..., str] = transfer.program
    askers = "for asker in curl bash nc wget; do"
    monkeypatch.setattr(transfer, "program", lambda *given: genuine(*given).replace(askers, "for asker in none; do"))
    code, err = deploy(site, _PLAIN)
    assert code == 1
    assert "needs curl, bash, nc or wget on the server, and none is there" in err
    assert (names(site), start_of(site, old)) == ([old], started)


def test_check_reaches_a_service_over_ipv6_alone(site: Site):
    prefix = f"fd00:{site.port:x}:{site.port % 997:x}:"
    site.write(
        "docker-compose.yml",
        f"services:\n  {site.code}:\n    image: ${{DOCKER_REGISTRY}}/{site.code}:${{VERSION}}\n"
        "    command: [sh, /conf/entry]\n    volumes: ['./conf:/conf:ro']\n"
        f"    networks: {{default: {{ipv6_address: '{prefix}:10'}}}}\n"
        f"networks: {{default: {{enable_ipv6: true, ipam: {{config: [{{subnet: '{prefix}:/64'}}]}}}}}}\n",
    )
    site.set("CONTAINER_PIPELINE_FILES", "conf")
    site.set("CONTAINER_PIPELINE_SETTLE", "1")
    check(site, within=20)
    only = f"[{prefix}:10]:8080"
    # The address may be bound once the kernel has found that nobody else has it.
    code, err = deploy(
        site,
        script("200 OK").replace("httpd -f -p 8080 -h /www", f"until httpd -f -p {only} -h /www; do sleep 0.2; done"),
    )
    assert code == 0, err


#: What a service sends → status, judgement and text that the check reads from it.
RESPONSES = {
    b"HTTP/1.0 200 OK\r\n\r\nfine\n": ("200 well", "fine"),
    b"HTTP/1.1 500 Broken\r\nContent-Type: text/plain\r\n\r\nno | database\r\nsecond line\n": (
        "500 bad",
        "no / database",
    ),
    b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 5\r\n\r\nFound": ("302 well", "Found"),
    # It reads the request, and never responds.
    b"": ("- bad", ""),
}


@contextmanager
def responding(response: bytes) -> Iterator[int]:
    """A service that sends this to each request, or nothing until the end; yield its port."""
    over = threading.Event()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            assert self.rfile.readline().startswith(b"GET /health HTTP/1.")
            # All of the request: what is left unread would reset the connection.
            while self.rfile.readline().strip():
                pass
            if not response:
                over.wait(60)
            self.wfile.write(response)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            over.set()
            server.shutdown()


def test_each_program_of_a_server_reads_responses(tmp_path: Path):
    """BusyBox's and GNU's alike, HTTP/1.0 and 1.1; a redirect is not followed, and silence ends."""
    for name, applet in (("nc", "nc"), ("busybox", "wget")):
        (tmp_path / name).mkdir()
        (tmp_path / name / applet).symlink_to(str(shutil.which("busybox")))
    given = {
        "word": "w",
        "code": "web",
        "folder": "/nonexistent",
        "sudo": False,
        "wait": 0,
        "who": "",
        "version": "",
        "login": "",
    }
    given |= {
        "check_path": "/health",
        "check_port": 0,
        "check_status": "200-399",
        "check_host": "web",
        "check_within": 1,
    }
    ask = 'bound=timeout work=$1 asker=$2; shift 2; for port; do ask_http 127.0.0.1 "$port"; echo "$http_status $(right_status && echo well || echo bad) $said"; done'
    program = f"{transfer.program(('common', 'check'), given)}\n{ask}"
    with ExitStack() as stack:
        ports = [str(stack.enter_context(responding(response))) for response in RESPONSES]
        runs = {}
        for asker in ("curl", "bash", "nc", "wget", "busybox"):
            work = tmp_path / f"work-{asker}"
            work.mkdir()
            command = ["sh", "-c", program, "sh", str(work), "wget" if asker == "busybox" else asker, *ports]
            path = f"{tmp_path / asker}:{os.environ['PATH']}"
            runs[asker] = subprocess.Popen(command, env={"PATH": path}, stdout=subprocess.PIPE, text=True)
        read = {asker: run.communicate(timeout=60)[0].splitlines() for asker, run in runs.items()}
    for asker, lines in read.items():
        statuses, texts = zip(*((" ".join(line.split()[:2]), line.split(" ", 2)[2]) for line in lines))
        assert statuses == tuple(status for status, _text in RESPONSES.values()), asker
        # BusyBox's wget shows no body with an error.
        if asker != "busybox":
            assert texts[:3] == tuple(text for _status, text in RESPONSES.values())[:3], asker
