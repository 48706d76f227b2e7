"""After any crash, the files are completely old or new, the lock is free, and the next run succeeds."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from container_pipeline.model import Target
from container_pipeline.remote import fleet, transfer
from real.site import Site, settled

pytestmark = pytest.mark.slow

#: The agent's line for each step, in order.
STEPS = ("checking", "pulling", "switching", "starting", "waiting for health", "keeping")


def read_until(run: subprocess.Popen[str], words: str) -> str:
    """Read the agent's output up to these words; return "" if it ended before."""
    assert run.stderr
    for line in run.stderr:
        if words in line:
            return line
    return ""


#: At each step with v2, and with v1 where it is Compose's own turn.
_KILLED = [*((0, step) for step in STEPS), (1, "starting"), (1, "waiting for health")]
#: Before the new release runs, and after: `make test` takes these two.
_PROMISED = ((0, "switching"), (0, "waiting for health"))


@pytest.mark.parametrize(
    ("either", "step"),
    [
        pytest.param(
            v1, step, id=f"compose-v{2 - v1}-{step}", marks=[pytest.mark.matrix] * ((v1, step) not in _PROMISED)
        )
        for v1, step in _KILLED
    ],
    indirect=["either"],
)
def test_server_recovers_by_itself_after_agent_is_killed(either: Site, step: str):
    former = either.deployed()
    old = either.files()
    either.write(".env", "ENV=new\n")
    version = either.publish("waits for ever" if step == "waiting for health" else "healthy")
    run = either.start("deploy", "--version", version, "--timeout", "300")
    read_until(run, step)
    run.kill()
    run.communicate()
    settled(either)
    # The new one stays if it was healthy before the loss of the agent was noticed.
    assert either.running() in (former, version)
    if either.running() == former:
        assert either.files() == old
    else:
        assert f"VERSION={version}" in either.files()[".env"]
    assert either.left_over() == ""
    assert either("deploy", "--version", either.publish()).code == 0


def test_files_are_synced_before_rename(site: Site, monkeypatch: pytest.MonkeyPatch):
    genuine: Callable[..., str] = transfer.program
    site.deployed()
    folder, fake = f"/docker/compose/{site.code}", f"/docker/{site.code}-bin"
    # In place of sync: it writes down what it is asked for, and whether a rename has come before it.
    script = f'#!/bin/sh\nfor f; do echo "${{f#*/.incoming.*/}} $(ls -d {folder}/releases/.former 2>/dev/null)"; done >>{fake}/log\n'
    site.sh(f"mkdir {fake} && printf '%s' {shlex.quote(script)} >{fake}/sync && chmod +x {fake}/sync")
    monkeypatch.setattr(transfer, "program", lambda *given: f"PATH={fake}:$PATH\n{genuine(*given)}")
    site.write(".env", "ENV=new\n")
    site.deployed()
    synced = dict(line.partition(" ")[::2] for line in site.sh(f"cat {fake}/log; rm -r {fake}").splitlines())
    before_the_first = {name for name, journal in synced.items() if not journal}
    files = {"docker-compose.yml", ".env"}
    journal = {f"former/{name}" for name in ("names", "absent", "current", "tag")}
    assert before_the_first >= journal | {f"live/{name}" for name in files} | {f"release/{name}" for name in files}
    assert "releases/.current.new" in synced


def through(site: Site, proxy, folder: Path) -> None:
    """Let the agent reach the first server through a proxy."""
    config = folder / "config"
    config.write_text(
        f"Host {site.servers[0].name}\n HostName {proxy.host}\n Port {proxy.port}\n User root\n"
        f" HostKeyAlias {site.servers[0].name}\n IdentityFile {site.lab.ssh_key}\n UserKnownHostsFile {site.lab.known_hosts}\n"
    )
    site.set("CONTAINER_PIPELINE_SSH_CONFIG", str(config))


@pytest.mark.parametrize(
    ("behaviour", "step", "exit_code"),
    [
        pytest.param("waits for ever", "pulling", 1, marks=pytest.mark.matrix),
        ("waits for ever", "waiting for health", 3),
        ("healthy", "recording the release", 0),
    ],
)
def test_deploy_asks_server_for_outcome_after_lost_connection(
    site: Site, tcp_proxy, tmp_path, monkeypatch: pytest.MonkeyPatch, behaviour: str, step: str, exit_code: int
):
    former = site.deployed()
    proxy = tcp_proxy(f"{site.servers[0].host}:22")
    through(site, proxy, tmp_path)
    version = site.publish(behaviour)
    genuine: Callable[..., str] = transfer.program
    # From here on, the server's output is lost.
    monkeypatch.setattr(
        transfer, "program", lambda *given: genuine(*given).replace("step keep\n", "step keep\nsleep 2\n")
    )
    tell = fleet.Fleet.tell

    def cutting(fleet: fleet.Fleet, target: Target, text: str, *, detail: bool = False) -> None:
        tell(fleet, target, text, detail=detail)
        if text.startswith(step):
            proxy.cut()

    monkeypatch.setattr(fleet.Fleet, "tell", cutting)
    done = site("deploy", "--version", version)
    assert done.code == exit_code, done.err
    assert "asking the server how the run ended" in done.err
    assert site.running() == (version if exit_code == 0 else former)
    assert site.lock_is_free()


@pytest.mark.parametrize("behaviour", ["waits for ever", pytest.param("healthy", marks=pytest.mark.matrix)])
def test_outcome_is_unknown_if_server_cannot_be_asked(
    site: Site, tcp_proxy, tmp_path, monkeypatch: pytest.MonkeyPatch, behaviour: str
):
    site.deployed()
    proxy = tcp_proxy(f"{site.servers[0].host}:22")
    through(site, proxy, tmp_path)
    monkeypatch.setattr(fleet, "LEARN_TIMEOUT", -17)  # of the 20 s that there are in all
    tell = fleet.Fleet.tell

    def closing(fleet: fleet.Fleet, target: Target, text: str, *, detail: bool = False) -> None:
        tell(fleet, target, text, detail=detail)
        if text.startswith("waiting for health"):
            proxy.close()

    monkeypatch.setattr(fleet.Fleet, "tell", closing)
    done = site("deploy", "--version", site.publish(behaviour), "--json")
    assert done.code == 7, done.err
    assert "the connection was lost while waiting for health, and the outcome is unknown" in done.err
    assert "rolling back" not in done.err
    assert [one["status"] for one in done.result["servers"]] == ["unknown"]
    settled(site)


def test_jenkins_abort_exits_143_within_five_seconds(either: Site):
    former = either.deployed()
    old = either.files()
    run = either.start("deploy", "--version", either.publish("waits for ever"), "--timeout", "300")
    read_until(run, "waiting for health")
    children = subprocess.run(["pgrep", "-P", str(run.pid)], capture_output=True, text=True, check=True).stdout.split()
    assert children
    start = time.monotonic()
    for child in children:
        os.kill(int(child), signal.SIGTERM)
    # Long enough for the agent to notice that its child is gone.
    time.sleep(0.5)
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=30)
    assert run.returncode == 143
    assert time.monotonic() - start < 5
    settled(either)
    assert (either.running(), either.files()) == (former, old)


def test_ctrl_c_exits_130_and_server_rolls_back(site: Site):
    former = site.deployed()
    run = site.start("deploy", "--version", site.publish("waits for ever"), "--timeout", "300")
    read_until(run, "waiting for health")
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=30)
    assert run.returncode == 130
    settled(site)
    assert site.running() == former


def test_surviving_compose_keeps_the_lock_until_it_ends(either: Site):
    either.append("docker-compose.yml", "    stop_grace_period: 4s\n")
    either.deployed("stubborn")
    version = either.publish()
    run = either.start("deploy", "--version", version)
    end = time.monotonic() + 20
    while not (pids := processes(either, "pgrep -f 'compose.* up '")):
        assert time.monotonic() < end, "Compose was never seen"
    either.servers[0].run(f"kill -9 {' '.join(processes(either, 'pgrep -x sh'))}", check=False)
    run.communicate(timeout=30)
    assert not either.lock_is_free()
    settled(either)
    assert not set(pids) & set(processes(either, "pgrep -f 'compose.* up '"))
    assert either("deploy", "--version", version).code == 0


def processes(site: Site, ask: str) -> list[str]:
    """The ids that ``ask`` prints on the server, of those processes that work in the project's folder."""
    script = f"for p in $({ask}); do echo $p $(readlink /proc/$p/cwd); done"
    pairs = [line.split() for line in site.servers[0].run(script, check=False).splitlines()]
    return [pair[0] for pair in pairs if pair[1:] and pair[1].endswith(f"/compose/{site.code}")]


def test_an_agent_that_is_silent_loses_the_lock(site: Site, monkeypatch: pytest.MonkeyPatch):
    former = site.deployed()
    genuine: Callable[..., str] = transfer.program
    # Like a lost connection without a close. The server waits for half a minute; here, for three seconds.
    monkeypatch.setattr("container_pipeline.remote.ssh.HEARTBEAT", 1000)
    monkeypatch.setattr(transfer, "program", lambda *given: genuine(*given).replace("sleep 5", "sleep 0.5"))
    done = site("deploy", "--version", site.publish("waits for ever"), "--timeout", "40")
    assert (done.code, "the connection was lost" in done.err) == (3, True)
    assert site.running() == former
    assert site.lock_is_free()
