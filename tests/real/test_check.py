"""A deploy is well when the new container also responds over HTTP as `check` says, asked from the server."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from container_pipeline.remote import transfer
from real.site import Site
from real.test_start_first import names

_HEAD = "trap 'exit 0' TERM; mkdir -p /www/cgi-bin; echo fine > /www/index.html\n"
_PLAIN = """\
trap 'exit 0' TERM
cat > /plain <<'X'
#!/bin/sh
read -r line
# All of the request: what is left unread would reset the connection.
while read -r more && [ "${more%?}" ]; do :; done
case $line in 'GET /cgi-bin/health HTTP/1.'*) printf 'HTTP/1.0 200 OK\\r\\n\\r\\nfine\\n' ;; esac
X
chmod 755 /plain; nc -ll -p 8080 -e /plain & wait
"""
_SERVE = "httpd -f -p 8080 -h /www & wait\n"
_BROKEN = "printf 'Status: 500 Broken\\r\\n\\r\\nno database\\n'"


def script(status: str, line: str = "", more: str = "") -> str:
    """Return an entry script that serves /cgi-bin/health with this status and first line."""
    response = f"Status: {status}\\r\\nContent-Type: text/plain\\r\\n{more}\\r\\n{line}\\n"
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


def test_check_decides_about_a_new_release(service: Site):
    site = service
    check(site)
    # This one speaks HTTP/1.0, as plainly as possible, and nothing else.
    code, err = deploy(site, _PLAIN)
    assert code == 0, err
    # A redirect is no failure, and is not followed. It comes late: it is told that nothing responds, but not at each try.
    check(site, within=30)
    late = "sleep 4; httpd"
    code, err = deploy(
        site, script("302 Found", "elsewhere", "Location: http://192.0.2.1/\\r\\n").replace("httpd", late)
    )
    assert code == 0, err
    assert 1 <= err.count("does not respond to GET /cgi-bin/health") <= 3
    # With start-first, a check that fails leaves the old container as it is.
    check(site)
    site.set("CONTAINER_PIPELINE_STRATEGY", "start-first")
    [old] = names(site)
    started = site.servers[0].docker("inspect", "-f", "{{.State.StartedAt}}", old)
    for entry, sentence in (
        (
            script("500 Broken", "no | database\\nsecond line"),
            "responds to GET /cgi-bin/health with 500: no / database",
        ),
        (_HEAD + _SERVE.replace("-p 8080", "-p 127.0.0.1:8080"), "does not respond to GET /cgi-bin/health"),
        (_HEAD + "mkfifo /in; nc -l -p 8080 < /in & sleep 1000 & wait\n", "does not respond to GET /cgi-bin/health"),
    ):
        code, err = deploy(site, entry)
        assert code == 3, err
        assert sentence in err
        assert "second line" not in err
        assert names(site) == [old]
        assert site.servers[0].docker("inspect", "-f", "{{.State.StartedAt}}", old) == started


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


def test_check_uses_what_the_server_has(service: Site, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    site = service
    genuine: Callable[..., str] = transfer.program
    # This machine's own nc and wget may be others than BusyBox's.
    place = f"/docker/of-busybox-{site.code}"
    links = " && ".join(f"mkdir {place}/{name} && ln -s $(command -v busybox) {place}/{name}/{of}" for name, of in (
        ("nc", "nc"), ("busybox", "wget")))  # fmt: skip
    site.servers[0].run(f"mkdir {place} && {links}")
    request.addfinalizer(lambda: site.servers[0].run(f"rm -r {place}"))

    def by(asker: str) -> None:
        """Let the server have this program alone: BusyBox's nc or wget, or its own."""

        def program(*given: object) -> str:
            text = genuine(*given)
            assert "for asker in curl bash nc wget; do" in text
            name = "wget" if asker == "busybox" else asker
            text = text.replace("for asker in curl bash nc wget; do", f"for asker in {name}; do")
            return f"PATH={place}/{asker}:$PATH\n{text}"

        monkeypatch.setattr(transfer, "program", program)

    # It responds with 500 and 200 by turns.
    turns = script("200 OK", "fine").replace(
        "#!/bin/sh\n", f"#!/bin/sh\nmkdir /turn && {_BROKEN} && exit; rmdir /turn\n"
    )
    site.write("conf/entry", turns)
    version = site.publish("plain")
    check(site, within=20)
    for asker in ("bash", "nc", "wget", "busybox"):
        by(asker)
        done = site("deploy", "--version", version)
        # BusyBox's wget does not show the body.
        assert (done.code, "with 500: " in done.err) == (0, True), (asker, done.err)
    by("none")
    before = names(site)
    done = site("deploy", "--version", version)
    assert done.code == 1
    assert "needs curl, bash, nc or wget on the server, and none is there" in done.err
    assert names(site) == before
