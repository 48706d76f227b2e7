"""An engine that freezes, dies or restarts meanwhile: every command ends, and says what did not respond."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from container_pipeline.remote import transfer
from lab.fixtures import private_server
from lab.handle import Lab, Server
from real.site import Site, settled

pytestmark = pytest.mark.slow

_DOCKERD = "$(pgrep -x dockerd)"


def hasty(*given) -> str:
    """The program for servers, with short bounds."""
    text = _GENUINE(*given)
    for old, new in (
        ("limit=30 ", "limit=3 "),
        ("limit=10 trial", "limit=2 trial"),
        ("sleep $((10 - missed * 3))", "sleep 1"),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


_GENUINE: Callable[..., str] = transfer.program


@pytest.fixture(scope="module")
def machine(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with an engine of its own, for all tests here."""
    made = private_server(lab, tmp_path_factory.mktemp("machine"))
    yield made
    made.box.remove()


@pytest.fixture
def server(site: Site, machine: Server) -> Iterator[Server]:
    """That server, whose engine goes on at the end of each test; the service is deployed to it."""
    site.on(machine)
    yield machine
    machine.run(f"kill -CONT {_DOCKERD}")
    machine.remove(site.code)


def test_frozen_engine_ends_commands_without_hiding_other_servers(
    site: Site, server: Server, monkeypatch: pytest.MonkeyPatch
):
    frozen, well = server, site.lab.servers[0]
    former = site.on(frozen, well).deployed()
    frozen.run(f"kill -STOP {_DOCKERD}")
    monkeypatch.setattr(transfer, "program", hasty)
    version = site.publish()
    sentence = f"{frozen.name}: the Docker engine does not respond"
    told = {one["name"]: one for one in site("status", "--json").result["servers"]}
    assert told[well.name]["status"] == "ok"
    assert told[well.name]["containers"]
    assert site("history").code == 0
    # What the other server does on each command is shown elsewhere.
    site.on(frozen)
    for command in (
        ("status",),
        ("up",),
        ("rollback", "--version", former),
        ("deploy", "--version", version),
        ("logs",),
        ("logs", "-f"),
    ):
        done = site(*command)
        said = sentence if command[0] == "logs" else sentence.partition(": ")[2]
        assert (done.code, said in done.out + done.err) == (1, True), (command, done.out, done.err)
        # A killed process may hold it for a moment longer.
        settled(site, patience=10)

    # An abort of a deploy, whose program has its usual bounds, releases the lock, too.
    run = site.start("deploy", "--version", version)
    while site.lock_is_free():
        assert run.poll() is None
        time.sleep(0.1)
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=30)
    assert run.returncode == 143
    settled(site, patience=60)

    frozen.run(f"kill -CONT {_DOCKERD}")
    assert site.running(frozen) == former
    assert site.left_over(frozen) == ""


#: Moments of a rollback → what kills the engine then. While the engine starts a container is no such moment: Docker 20.10
#: then keeps the container's port until it is restarted again.
_RESTARTS = {
    "at its beginning": f"kill -9 {_DOCKERD}\n",
    "while it stops the container": (
        "{ docker events --filter event=kill | { read -r _; kill -9 " + _DOCKERD + "; }; } >/dev/null 2>&1 9>&- &\n"
        "sleep 1\n"
    ),
}


@pytest.mark.parametrize(
    "kill",
    [
        pytest.param(kill, id=moment, marks=[pytest.mark.matrix] * (moment == "at its beginning"))
        for moment, kill in _RESTARTS.items()
    ],
)
@pytest.mark.usefixtures("server")
def test_rollback_waits_for_a_restarting_engine(site: Site, monkeypatch: pytest.MonkeyPatch, kill: str):
    former = site.deployed()
    monkeypatch.setattr(
        transfer, "program", lambda *given: _GENUINE(*given).replace("step back; fi\n", f"step back; fi\n{kill}")
    )
    done = site("deploy", "--version", site.publish("slow to stop"))
    assert done.code == 3, done.err
    assert site.running() == former


def test_hung_disk_ends_every_command_and_frees_lock(site: Site, monkeypatch: pytest.MonkeyPatch):
    def watchful(*given) -> str:
        text = _GENUINE(*given)
        for old, new in (("while sleep 5 &&", "while sleep 1 &&"), ("stuck + 60", "stuck + 1")):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        return text

    version = site.deployed()
    # Opening it blocks, as on a network disk whose server is gone.
    site.sh("mv releases/.current releases/.was; mkfifo releases/.current")
    monkeypatch.setattr(transfer, "program", watchful)
    monkeypatch.setattr("container_pipeline.remote.fleet.SILENCE", 12)
    monkeypatch.setattr("container_pipeline.remote.fleet.LEARN_TIMEOUT", 1)
    monkeypatch.setenv("CONTAINER_PIPELINE_TIMEOUT", "1")
    for command in (("status",), ("deploy", "--version", version)):
        done = site(*command)
        assert done.code in (1, 7), (command, done.out, done.err)
        assert "stopped responding" in done.out + done.err, (command, done.out, done.err)
        settled(site)
        assert site.left_over(patience=30) == "", command
    site.sh("rm releases/.current; mv releases/.was releases/.current")
    assert site.running() == version


@pytest.mark.parametrize(
    "shell",
    ["dash", pytest.param("busybox", marks=pytest.mark.matrix), pytest.param("bash", marks=pytest.mark.matrix)],
)
def test_where_sudo_runs_docker_alone_every_wait_ends(
    site: Site, server: Server, monkeypatch: pytest.MonkeyPatch, shell: str
):
    server.run(
        "echo 'deploy ALL=(root) NOPASSWD: /usr/bin/docker' >/etc/sudoers.d/deploy; "
        "rm -f /docker/reached /docker/frozen; chown -R deploy /docker; "
        f"ln -sf $(command -v {shell}) /usr/bin/sh"
    )
    site.set("CONTAINER_PIPELINE_SERVERS", f"deploy@{server.name}")
    site.set("CONTAINER_PIPELINE_SUDO", "true")
    former = site.deployed()

    def frozen_at_start(*given) -> str:
        stop = "step start\n: >/docker/reached; until [ -e /docker/frozen ]; do sleep 0.1; done\n"
        return hasty(*given).replace("step start\n", stop).replace("wait_until=$(($(date +%s) + 60))", "wait_until=0")

    def freeze() -> None:
        while not (server.folder / "reached").exists():
            time.sleep(0.1)
        server.run(f"kill -STOP {_DOCKERD}; touch /docker/frozen")

    monkeypatch.setattr(transfer, "program", frozen_at_start)
    monkeypatch.setattr("container_pipeline.remote.fleet.SILENCE", 60)
    freezer = threading.Thread(target=freeze)
    freezer.start()
    done = site("deploy", "--version", site.publish())
    freezer.join()
    assert (done.code, "Docker does not respond" in done.err) == (4, True), done.err
    assert site("doctor").code == 1
    for command in (("status",), ("fleet",), ("rollback",), ("deploy", "--version", former)):
        done = site(*command)
        assert (done.code, "does not respond" in done.out + done.err) == (1, True), (command, done.out, done.err)
        settled(site)
    server.run(f"kill -CONT {_DOCKERD}")
    monkeypatch.setattr(transfer, "program", _GENUINE)
    assert site("deploy", "--version", former).code == 0
    assert site.running() == former
    assert site("fleet", "--check").code == 0


@pytest.mark.matrix
def test_sudo_for_docker_alone_suffices_with_v1(site: Site, server_factory):
    server: Server = server_factory(compose="v1")
    rule = "deploy ALL=(root) NOPASSWD:{}/usr/bin/docker, /usr/bin/docker-compose"
    server.run(f"echo '{rule.format(' ')}' >/etc/sudoers.d/deploy; chown deploy /docker")
    site.on(server)
    site.set("CONTAINER_PIPELINE_SERVERS", f"deploy@{server.name}")
    site.set("CONTAINER_PIPELINE_SUDO", "true")
    former = site.deployed()
    site.set("CONTAINER_PIPELINE_RELEASE", "echo migrated")
    done = site("deploy", "--version", site.publish("exits"))
    assert (done.code, "| migrated" in done.err) == (3, True), done.err
    assert site.running() == former
    newer = site.deployed()
    assert site("rollback").code == 0
    assert site.running() == former
    # docker-compose gets a login only in a variable, which is for the images of other services.
    other = f"{site.registry.address}/{site.code}:{site.publish()}"
    site.append("docker-compose.yml", f"  side:\n    image: {other}\n")
    done = site("deploy", "--version", newer)
    assert (done.code, "the login is missing or wrong" in done.err) == (1, True), done.err
    server.run(f"echo '{rule.format('SETENV: ')}' >/etc/sudoers.d/deploy")
    assert site("deploy", "--version", newer).code == 0
    for command in (("status",), ("logs",), ("restart",), ("down", "--yes"), ("up",)):
        done = site(*command)
        assert done.code == 0, (command, done.err)
    assert site.left_over() == ""
