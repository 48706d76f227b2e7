"""Output, input, variables and programs of a server's login shell do not affect a run, and are reported."""

from __future__ import annotations

import pytest

from lab.handle import Server
from real.site import Site

#: Start file of the login shell → what `status` and `deploy` say about it.
REFUSED = {
    "prints a line without end": ("head -c 300000000 /dev/zero", "printed without end"),
    "reads all our input": ("cat >/dev/null", "SSH nor the login shell started the program in time"),
    "reads a line of our input": ("read -r _", "consumed the input"),
    "starts another shell": ("exec sh", "the program in time"),
    "prints and hangs": ("echo Welcome to web; sleep 300", "it printed: Welcome to web"),
    "ends": ("echo go away; exit 3", "exited with code 3 and ran nothing; it printed: go away"),
}


def start_file(server: Server, text: str) -> None:
    (server.box.folder / "docker" / "bashrc").write_text(text + "\n")
    server.run("cp /docker/bashrc /root/.bashrc")


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


def test_deploy_reports_a_login_shell_that_blocks_it(site: Site, there: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("container_pipeline.remote.ssh.START_TIMEOUT", -3)
    monkeypatch.setattr("container_pipeline.remote.ssh.HEARTBEAT", 1)
    deploy = ("deploy", "--version", site.publish())
    there.run("ln -sf /docker/bashrc /root/.bashrc")
    for name, (text, words) in REFUSED.items():
        (there.folder / "bashrc").write_text(text + "\n")
        done = site(*deploy)
        assert (done.code, words in done.err) == (1, True), (name, done.err)
        # A shell that goes on after all makes no more than the empty folder.
        assert not (there.folder / "compose" / site.code / "docker-compose.yml").exists(), name
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
