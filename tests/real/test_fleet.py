"""`fleet` shows every code on every server, and what is wrong with each.

The agent deploys one code. The others are copies of its folder, with containers that have the labels of Compose.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from container_pipeline.remote.ssh import Session
from lab.handle import Server
from real.site import Site

BUILD = "https://jenkins.example/job/web/7/"
JOBS = """\
defaults: {{repository: "https://git.example/{{code}}.git"}}
projects:
  - {{code: a-re, pipeline: {{servers: [{two}, "deploy@{three}"]}}}}
  - {{code: b-re, pipeline: {{servers: [{two}], remote_root: /docker/else}}}}
  - {{code: c-re, pipeline: {{servers: [{two}, {{host: {three}, user: root}}]}}}}
  - d-re
"""
_LABEL = "--label=com.docker.compose."
#: Clears a terminal, sets its title, and is an element of HTML.
HOSTILE = "\x1b[2J\x1b]0;title\x07<script>alert(1)</script>"


class Estate:
    """Servers with copies of one deployed code, all on the engine of one server."""

    def __init__(self, site: Site) -> None:
        self.site, self.first = site, site.servers[0]
        self.made: list[str] = []
        self.version = site.deployed("plain")

    def folder(self, server: Server, code: str) -> Path:
        return server.folder / "compose" / code

    def copy(self, server: Server, name: str, *options: str, command: str = "sleep 1000", runs: bool = True) -> str:
        """Return another code on a server, with a container that has these options of `docker run`."""
        code = f"{self.site.code[:-3]}-{name}"
        folder = self.folder(server, code)
        shutil.copytree(self.folder(self.first, self.site.code), folder, symlinks=True)
        path = folder / "releases" / self.version / "release.json"
        record = json.loads(path.read_text())
        path.write_text(json.dumps({**record, "project": code, "services": code}) + "\n")
        if runs:
            labels = {
                "project": code,
                "service": code,
                "oneoff": "False",
                "project.working_dir": f"/docker/compose/{code}",
            }
            options = (*(f"{_LABEL}{label}={value}" for label, value in labels.items()), *options)
            image = f"{self.site.registry.address}/{self.site.code}:{self.version}"
            self.first.docker("run", "-d", "--name", code, "--entrypoint", "sh", *options, image, "-c", command)
            self.made.append(code)
        return code

    def lie(self, server: Server) -> str:
        """Return a code whose names, labels and records would harm a terminal, if they reached one."""
        (server.folder / "compose" / os.fsdecode(b"caf\xe9 \x1b[2J<b>")).mkdir()
        code = self.copy(server, "lies", f"{_LABEL}service={HOSTILE}" + "x" * 100_000)
        path = self.folder(server, code) / "releases" / self.version / "release.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "by": HOSTILE, "approved_by": "z" * 20_000}) + "\n")
        (path.parent.parent / ".log").write_bytes(b"2026-11-27T10:00:00Z|" + b"\xe9" * 1_000_000 + b"|deploy|7|ok\n")
        return code

    def wait(self, code: str, form: str, wanted: Callable[[str], bool]) -> None:
        end = time.monotonic() + 60
        while not wanted(self.first.docker("inspect", "-f", form, code).strip()):
            assert time.monotonic() < end, f"{code} stays as it is"
            time.sleep(0.1)


@pytest.fixture
def estate(site: Site):
    site.set("BUILD_URL", BUILD)
    site.set("CONTAINER_PIPELINE_APPROVED_BY", "alice")
    made = Estate(site)
    yield made
    if made.made:
        made.first.docker("rm", "-f", *made.made)
    for server in site.lab.servers:
        for folder in (server.folder / "compose").glob(f"{site.code[:-3]}-*"):
            shutil.rmtree(folder)


def short_of_patience(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Let the login of one server alone end soon."""
    genuine = Session.__init__

    def begin(self: Session, target: Any, access: Any) -> None:
        genuine(self, target, access)
        if target.host == host:
            self.start_timeout = 2

    monkeypatch.setattr(Session, "__init__", begin)


def test_fleet_finds_what_is_wrong_on_every_server(estate: Estate, server_factory, monkeypatch: pytest.MonkeyPatch):
    site, one = estate.site, estate.first
    two, three, slow = server_factory("server-1"), server_factory("server-1"), server_factory("none")
    bare = server_factory("none")
    compose = estate.copy(one, "compose")
    with (estate.folder(one, compose) / "docker-compose.yml").open("a") as file:
        file.write("#\n")
    env = estate.copy(one, "env")
    with (estate.folder(one, env) / ".env").open("a") as file:
        file.write("PASSWORD=typed by hand\n")
    estate.copy(one, "removed", runs=False)
    sick = estate.copy(one, "sick", "--health-cmd=exit 1", "--health-interval=200ms", "--health-retries=1")
    loop = estate.copy(one, "loop", "--restart=always", command="exit 3")
    held = estate.copy(two, "held")
    (estate.folder(two, held) / ".hold").write_text("bob|2026-11-27T10:00:00Z|moving the database\n")
    cut = estate.copy(two, "cut")
    (estate.folder(two, cut) / "releases" / ".former").mkdir()
    other = estate.copy(two, "other")
    record = estate.folder(two, other) / "releases" / estate.version / "release.json"
    record.write_text(record.read_text().replace("sha256:", "sha256:0")[:-1])
    torn = estate.copy(two, "torn")
    (estate.folder(two, torn) / "releases" / estate.version / "release.json").write_text("{")
    busy = estate.copy(two, "busy")
    (estate.folder(two, busy) / "docker-compose.yml").write_text("half\n")
    gone = estate.copy(two, "gone", command="exit 4")
    (estate.folder(two, "backup of May")).mkdir()
    blind = estate.copy(bare, "blind", runs=False)
    lies = estate.lie(two)
    well = [estate.copy(three, f"well{number}") for number in range(2)]
    companion = estate.copy(three, "pair")
    record = estate.folder(three, companion) / "releases" / estate.version / "release.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "services": f"{companion} worker"}) + "\n")
    three.run("chown -R deploy /docker")
    slow.run("mkdir -p /root/.ssh; echo 'sleep 1000' >/root/.ssh/rc")
    estate.wait(sick, "{{.State.Health.Status}}", lambda text: text == "unhealthy")
    estate.wait(loop, "{{.RestartCount}}", lambda text: int(text) >= 3)
    estate.wait(gone, "{{.State.Status}}", lambda text: text == "exited")
    short_of_patience(monkeypatch, slow.name)
    site.on(two, three, slow, bare, one)
    site.set("CONTAINER_PIPELINE_SERVERS", "")
    servers = [one.name, two.name, f"deploy@{three.name}", slow.name, bare.name, "127.0.0.1:9"]
    options = [word for name in servers for word in ("--server", name)]
    lock = two.run(
        f'cd /docker/compose/{busy} && echo "carol|$(date -u +%Y-%m-%dT%H:%M:%SZ)|7" >.lock && '
        "{ flock 9; sleep 60 >/dev/null 2>&1 & echo $!; } 9>>.lock"
    ).strip()

    done = site("fleet", "--check", "--disk", "--json", *options)

    assert done.code == 1
    two.run(f"kill {lock}")
    rows = {row["code"]: row for row in done.result["deployments"] if row["code"].startswith(site.code[:-3])}
    found = {
        code.removeprefix(f"{site.code[:-3]}-"): [each["kind"] for each in row["problems"]]
        for code, row in rows.items()
    }
    right: dict[str, list[str]] = {
        name: [] for name in ("re", *(f"well{number}" for number in range(2)), "held", "busy")
    }
    assert found == {
        **right,
        "compose": ["edited"],
        "env": ["edited"],
        "removed": ["down"],
        "sick": ["unhealthy"],
        "loop": ["restarting"],
        "cut": ["unfinished"],
        "other": ["image"],
        "torn": ["record"],
        "gone": ["exited"],
        "pair": ["missing"],
        "blind": [],
        "lies": ["missing"],
    }
    assert (rows[compose]["edited"], rows[env]["edited"]) == (["docker-compose.yml"], [".env"])
    statuses = [row["status"] for row in done.result["deployments"]]
    assert statuses == sorted(statuses, key=["problem", "unknown", "busy", "held", "foreign", "none", "ok"].index)
    assert rows[held]["hold"] == {"by": "bob", "since": "2026-11-27T10:00:00Z", "reason": "moving the database"}
    assert (rows[busy]["status"], rows[busy]["lock"][:6]) == ("busy", "carol|")
    assert (rows[blind]["status"], rows[blind]["version"], rows[blind]["containers"]) == ("unknown", estate.version, [])
    for code in (site.code, *well):
        row = rows[code]
        assert (row["status"], row["version"], row["releases"]) == ("ok", estate.version, [estate.version])
        assert (row["build"], row["approved_by"]) == (BUILD, "alice")
        assert [(deploy["version"], deploy["by"], deploy["outcome"]) for deploy in row["deploys"]] == [
            (estate.version, BUILD, "ok")
        ]
        assert row["disk"] > 0
    assert rows[well[0]]["server"] == three.name
    by_name = {server["name"]: server for server in done.result["servers"]}
    assert by_name[two.name]["others"] == ["/docker/compose/backup of May", "/docker/compose/caf\ufffd <b>"]
    assert rows[lies]["by"] == rows[lies]["containers"][0]["service"][:25] == "<script>alert(1)</script>"
    assert max(map(len, done.err.splitlines())) < 4000
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", done.out + done.err)
    assert "started the program" in by_name[slow.name]["error"]
    assert "Docker" in by_name[bare.name]["error"]
    assert "cannot be reached by SSH" in by_name["127.0.0.1:9"]["error"]
    table = done.err
    for text in (
        "keeps restarting",  # with "(exit code 3)" where it does not run at this moment
        "held by bob since",
        "moving the database",
        BUILD,
        "worker has no container",
    ):
        assert text in table, text

    site.write("jobs.yml", JOBS.format(two=two.name, three=three.name))
    done = site("fleet", "jobs.yml", "--json")
    assert done.code == 0, done.err
    assert [server["name"] for server in done.result["servers"]] == [
        two.name,
        *(f"{user}@{three.name}" for user in ("deploy", "root")),
    ]
    assert {row["code"] for row in done.result["deployments"] if row["root"] == "/docker/compose"} >= {held, *well}
    assert [server["absent"] for server in done.result["servers"]] == [["/docker/else"], [], []]
    alone = site("fleet", "jobs.yml", "--check", "--code", well[0])
    assert alone.code == 0, alone.err
    assert [line.split()[0] for line in alone.out.splitlines()] == ["CODE", well[0], well[0]]
