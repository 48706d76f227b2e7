"""Output, input, variables and programs of a server's login shell do not affect a run, and are reported."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lab.handle import Server
from real.site import Site

#: Start file of the login shell → what `status` and `deploy` say about it.
REFUSED = {
    "prints a line without end": ("head -c 300000000 /dev/zero", "printed without end"),
    "reads all our input": ("cat >/dev/null", "SSH nor the login shell started the program in time"),
    "reads a line of our input": ("read -r _", "consumed the input"),
    "starts another shell": ("exec sh", "the program in time"),
    # The agent waits for 7 s.
    "prints and starts late": ("echo Welcome to web; sleep 8", "it printed: Welcome to web"),
    "ends": ("echo go away; exit 3", "exited with code 3 and ran nothing; it printed: go away"),
}


def start_file(server: Server, text: str) -> None:
    (server.box.folder / "docker" / "bashrc").write_text(text + "\n")
    server.run("cp /docker/bashrc /root/.bashrc")


def wait_for_programs(server: Server) -> None:
    """Wait until no program of the agent runs on a server, nor a login shell that will start one; asks no login shell."""

    def place(pid: str) -> str:
        return os.readlink(f"/proc/{pid}/ns/pid")

    def runs(process: Path) -> bool:
        try:
            return place(process.name) == here and b"container-pipeline" in (process / "cmdline").read_bytes()
        except OSError:
            return False

    here, end = place(str(server.box.init())), time.monotonic() + 30
    while any(runs(process) for process in Path("/proc").glob("[0-9]*")):
        assert time.monotonic() < end, "a program still runs"
        time.sleep(0.1)


def test_login_shell_output_and_variables_never_affect_runs(site: Site, there: Server, monkeypatch: pytest.MonkeyPatch):
    lines = "::hello\n::fact version 6.6.6\n::step keep\n::end ok 6.6.6\n::abcdef0123456789 end ok 6.6.6"
    settings = (
        "export COMPOSE_ENV_FILES=/nowhere COMPOSE_DISABLE_ENV_FILE=1 COMPOSE_PROFILES=other TAR_OPTIONS=--no-such-option "
        "GREP_OPTIONS=-v BASH_ENV=/nowhere ENV=/nowhere IFS=/ VERSION=6.6.6 POSIXLY_CORRECT=1 DOCKER_DEFAULT_PLATFORM=linux/s390x\n"
        "tar() { echo stolen; }; docker() { echo stolen; }; export -f tar docker"
    )
    # While it sleeps, keep-alives arrive before the files.
    monkeypatch.setattr("container_pipeline.remote.ssh.HEARTBEAT", 0.1)
    start_file(there, f"cat <<'EOT'\n{lines}\nEOT\n{settings}\nsleep 1")
    version = site.deployed()
    assert site.environment(there)["ENV"] == "test"
    told = site("status", "--json").result["servers"][0]
    assert (told["version"], told["differs"]) == (version, [])
    logs = site("logs")
    assert f"serving {version}" in logs.out
    assert "6.6.6" not in logs.out
    # Programs that start once the agent has given up change nothing.
    monkeypatch.setattr("container_pipeline.remote.ssh.START_TIMEOUT", -9)
    start_file(there, "sleep 2")
    for command in (("down", "--yes"), ("hold", "maintenance")):
        done = site(*command)
        assert (done.code, "the program in time" in done.err) == (1, True), done.err
        wait_for_programs(there)
    assert (site.running(), (there.folder / "compose" / site.code / ".hold").exists()) == (version, False)


def test_deploy_reports_a_login_shell_that_blocks_it(site: Site, there: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("container_pipeline.remote.ssh.START_TIMEOUT", -3)
    monkeypatch.setattr("container_pipeline.remote.ssh.HEARTBEAT", 1)
    deploy = ("deploy", "--version", site.publish())
    there.run("ln -sf /docker/bashrc /root/.bashrc")
    for name, (text, words) in REFUSED.items():
        (there.folder / "bashrc").write_text(text + "\n")
        done = site(*deploy)
        assert (done.code, words in done.err) == (1, True), (name, done.err)
        # A shell may go on once the agent has gone.
        wait_for_programs(there)
        assert not (there.folder / "compose" / site.code).exists(), name
    # And a user without a shell.
    (there.folder / "bashrc").write_text("")
    there.run("sed -i '/^deploy:/s#/bin/sh#/usr/sbin/nologin#' /etc/passwd")
    site.set("CONTAINER_PIPELINE_SERVERS", f"deploy@{there.name}")
    done = site(*deploy)
    assert done.code == 1
    assert (
        "the login shell exited with code 1 and ran nothing; it printed: This account is currently not available."
        in done.err
    )
    there.run("sed -i '/^deploy:/s#/usr/sbin/nologin#/bin/false#' /etc/passwd")
    assert "the login shell exited with code 1 and ran nothing; it printed: -" in site("status").err
