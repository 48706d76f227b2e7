"""After any crash, the files are completely old or new, the lock is free, and the next run succeeds."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@pytest.mark.parametrize(
    ("either", "steps"),
    [
        # Before the new release runs, and after.
        pytest.param(0, ("switching", "waiting for health"), id="compose-v2"),
        pytest.param(0, STEPS, id="each step", marks=pytest.mark.matrix),
        # Where it is Compose's own turn.
        pytest.param(1, ("starting", "waiting for health"), id="compose-v1", marks=pytest.mark.matrix),
    ],
    indirect=["either"],
)
def test_server_recovers_by_itself_after_agent_is_killed(
    either: Site, steps: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
):
    former = either.deployed()
    for number, step in enumerate(steps):
        old = either.files()
        either.write(".env", f"ENV={number}\n")
        version = either.publish("waits for ever" if step == "waiting for health" else "healthy")
        run = either.start("deploy", "--version", version, "--timeout", "300")
        read_until(run, step)
        run.kill()
        run.communicate()
        settled(either)
        # The new one stays if it was healthy before the loss of the agent was noticed.
        runs = either.running()
        assert runs in (former, version), step
        if runs == former:
            assert either.files() == old, step
        else:
            assert f"VERSION={version}" in either.files()[".env"], step
        assert either.left_over() == "", step
        former = runs
    # The next deploy succeeds, and even a loss of power would leave old or new files: it syncs them before it renames them.
    files_are_synced_before_rename(either, monkeypatch)


def files_are_synced_before_rename(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine: Callable[..., str] = transfer.program
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
    assert "current" in synced


def through(site: Site, proxy, folder: Path) -> None:
    """Let the agent reach the first server through a proxy."""
    config = folder / "config"
    config.write_text(
        f"Host {site.servers[0].name}\n HostName {proxy.host}\n Port {proxy.port}\n User root\n"
        f" HostKeyAlias {site.servers[0].name}\n IdentityFile {site.lab.ssh_key}\n UserKnownHostsFile {site.lab.known_hosts}\n"
    )
    site.set("CONTAINER_PIPELINE_SSH_CONFIG", str(config))


@contextmanager
def at(step: str, act: Callable[[], None]) -> Iterator[None]:
    """Do something when the agent tells this step of a server."""
    tell = fleet.Fleet.tell

    def telling(fleet: fleet.Fleet, target: Target, text: str, *, detail: bool = False) -> None:
        tell(fleet, target, text, detail=detail)
        if text.startswith(step):
            act()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fleet.Fleet, "tell", telling)
        yield


@pytest.mark.parametrize(
    "cases",
    [
        pytest.param([("waits for ever", "waiting for health", 3), ("healthy", "recording the release", 0)], id="run"),
        pytest.param([("waits for ever", "pulling", 1)], id="not begun", marks=pytest.mark.matrix),
    ],
)
def test_deploy_asks_server_for_outcome_after_lost_connection(
    site: Site, tcp_proxy, tmp_path, monkeypatch: pytest.MonkeyPatch, cases: list[tuple[str, str, int]]
):
    former = site.deployed()
    genuine: Callable[..., str] = transfer.program
    # Like a lost connection without a close: a silent agent loses the lock. The server waits for half a minute; here, for three seconds.
    with monkeypatch.context() as patch:
        patch.setattr("container_pipeline.remote.ssh.HEARTBEAT", 1000)
        patch.setattr(transfer, "program", lambda *given: genuine(*given).replace("sleep 5", "sleep 0.5"))
        done = site("deploy", "--version", site.publish("waits for ever"), "--timeout", "40")
    assert (done.code, "the connection was lost" in done.err) == (3, True)
    assert (site.running(), site.lock_is_free()) == (former, True)
    # A server that cannot be asked leaves the outcome unknown.
    proxy = tcp_proxy(f"{site.servers[0].host}:22")
    through(site, proxy, tmp_path)
    with monkeypatch.context() as patch, at("waiting for health", proxy.close):
        patch.setattr(fleet, "LEARN_TIMEOUT", -17)  # of the 20 s that there are in all
        done = site("deploy", "--version", site.publish("waits for ever"), "--json")
    assert done.code == 7, done.err
    assert "the connection was lost while waiting for health, and the outcome is unknown" in done.err
    assert "rolling back" not in done.err
    assert [one["status"] for one in done.result["servers"]] == ["unknown"]
    settled(site)
    # From here on, the server's output is lost, and it is asked.
    proxy = tcp_proxy(f"{site.servers[0].host}:22")
    through(site, proxy, tmp_path)
    monkeypatch.setattr(
        transfer, "program", lambda *given: genuine(*given).replace("step keep\n", "step keep\nsleep 2\n")
    )
    for behaviour, step, exit_code in cases:
        version = site.publish(behaviour)
        with at(step, proxy.cut):
            done = site("deploy", "--version", version)
        assert done.code == exit_code, done.err
        assert "asking the server how the run ended" in done.err
        assert site.running() == (version if exit_code == 0 else former)
        assert site.lock_is_free()


@pytest.mark.parametrize(
    ("how", "exit_code"),
    [
        pytest.param(signal.SIGTERM, 143, id="SIGTERM"),
        pytest.param(signal.SIGINT, 130, id="SIGINT", marks=pytest.mark.matrix),
    ],
)
def test_jenkins_abort_exits_143_within_five_seconds(either: Site, how: signal.Signals, exit_code: int):
    former = either.deployed()
    old, version = either.files(), either.publish("waits for ever")
    run = either.start("deploy", "--version", version, "--timeout", "300")
    read_until(run, "waiting for health")
    start = time.monotonic()
    if how == signal.SIGTERM:
        # Jenkins sends it to children first.
        children = subprocess.run(["pgrep", "-P", str(run.pid)], capture_output=True, text=True, check=True)
        assert children.stdout
        for child in children.stdout.split():
            os.kill(int(child), how)
        # Long enough for the agent to notice that its child is gone.
        time.sleep(0.5)
    run.send_signal(how)
    run.communicate(timeout=30)
    assert run.returncode == exit_code
    assert time.monotonic() - start < 5
    settled(either)
    assert (either.running(), either.files()) == (former, old)


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


def processes(site: Site, ask: str) -> list[str]:
    """The ids that ``ask`` prints on the server, of those processes that work in the project's folder."""
    script = f"for p in $({ask}); do echo $p $(readlink /proc/$p/cwd); done"
    pairs = [line.split() for line in site.servers[0].run(script, check=False).splitlines()]
    return [pair[0] for pair in pairs if pair[1:] and pair[1].endswith(f"/compose/{site.code}")]
