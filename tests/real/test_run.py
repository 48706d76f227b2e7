"""`run` on a real engine: Docker's flags, the container's exit code, and its interruption."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import docker
import pytest

from lab.place import free_port
from real.agent import Agent

_START = """\
[ "$CODE" ] && exit "$CODE"
trap 'echo stopped; exit 0' TERM
echo "to stdout $SAY"
echo "to stderr" >&2
[ "$WAIT" ] && { echo ready; sleep 60 & wait; }
exit 0
"""


@pytest.fixture
def code() -> str:
    return f"test-{secrets.token_hex(5)}-re"


@pytest.fixture
def agent(agent: Agent, engine: docker.APIClient, monkeypatch: pytest.MonkeyPatch) -> Agent:
    """The agent in a project that has been built, and that publishes no port unless it is told to."""
    monkeypatch.setenv("CONTAINER_PIPELINE_BUILDER", "engine")
    (agent.folder / "start").write_text(_START)
    dockerfile = 'FROM busybox:latest\nCOPY start /\nENTRYPOINT ["sh", "/start"]\n'
    (agent.folder / "Dockerfile").write_text(dockerfile)
    project(agent, ports=[])
    assert agent("build").code == 0
    return agent


def project(agent: Agent, **options: object) -> None:
    (agent.folder / "container-pipeline.yml").write_text(json.dumps({"run": options}))


def containers(engine: docker.APIClient, agent: Agent) -> list[dict[str, object]]:
    found: list[dict[str, object]] = engine.containers(all=True)
    return [container for container in found if f"/{agent.code}:" in str(container["Image"])]


def test_run_shows_the_container_and_removes_it(agent, engine, development):
    planned = agent("run", "--dry-run")
    assert (planned.code, planned.out[:4]) == (0, "run ")
    assert containers(engine, agent) == []
    outcome = agent("run", "-e", "SAY=hello")
    assert (outcome.code, outcome.out) == (0, "to stdout hello\n"), outcome.err
    assert "to stderr" in outcome.err
    # The container's exit code is the command's.
    outcome = agent("run", "-e", "CODE=42", "--json")
    assert (outcome.code, outcome.result["exit_code"]) == (42, 42)
    assert containers(engine, agent) == []
    # An image that the engine has no longer is pulled.
    assert agent("push").code == 0
    version = (agent.folder / ".docker_build_version").read_text().strip()
    engine.remove_image(f"{development.address}/{agent.code}:{version}", force=True)
    assert agent("run").code == 0
    assert containers(engine, agent) == []


def test_a_run_that_cannot_begin_leaves_nothing(agent, engine, development, monkeypatch):
    port = development.address.rpartition(":")[2]
    occupied = agent("run", "-p", f"{port}:80")
    assert (occupied.code, "could not be run" in occupied.err) == (1, True), occupied.err
    assert containers(engine, agent) == []

    def interrupted(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(docker.APIClient, "attach", interrupted)
        assert agent("run").code == 130
    assert containers(engine, agent) == []
    for path in agent.folder.glob(".docker_build*"):
        path.unlink()
    outcome = agent("run")
    assert (outcome.code, "nothing has been built here yet" in outcome.err) == (1, True), outcome.err


def test_each_flag_means_what_it_means_to_docker(agent, engine, tmp_path, monkeypatch):
    port = free_port()
    (tmp_path / "logs").mkdir()
    (tmp_path / "more.env").write_text('A="quoted" $HOME\nB=file\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINE", "my own")
    flags = ["-d", "-p", f"{port}:80", "-v", "./logs:/logs:ro", "-v", "/data", "-e", "B=flag", "-e", "MINE"]
    outcome = agent("run", *flags, "-e", "WAIT=1", "--env-file", "more.env", "--name", agent.code)
    assert outcome.code == 0, outcome.err
    container = engine.inspect_container(agent.code)
    try:
        assert outcome.out.strip() == container["Id"]
        assert container["HostConfig"]["AutoRemove"] is True
        assert container["HostConfig"]["PortBindings"] == {"80/tcp": [{"HostIp": "", "HostPort": str(port)}]}
        assert {f"{m['Type']} {m['Destination']} {m['RW']}" for m in container["Mounts"]} == {
            "bind /logs False",
            "volume /data True",
        }
        assert {'A="quoted" $HOME', "B=flag", "MINE=my own"} <= set(container["Config"]["Env"])
    finally:
        engine.remove_container(agent.code, force=True, v=True)

    # The project file may say the same.
    (agent.folder / "logs").mkdir()
    project(agent, ports=[], name=agent.code, detach=True, environment={"WAIT": 1}, volumes=["./logs:/logs"])
    assert agent("run").code == 0
    container = engine.inspect_container(agent.code)
    engine.remove_container(agent.code, force=True)
    assert container["Mounts"][0]["Source"] == f"{agent.folder}/logs"


@contextmanager
def running(agent: Agent) -> Iterator[subprocess.Popen[str]]:
    """Run the container in another process, and give it once the container is ready."""
    child = subprocess.Popen(
        [sys.executable, "-m", "container_pipeline", "run", "-e", "WAIT=1", "--project", str(agent.folder)],
        env={**os.environ, "CONTAINER_PIPELINE_CODE": agent.code, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert child.stdout
    try:
        assert [child.stdout.readline() for _line in range(2)] == ["to stdout \n", "ready\n"]
        yield child
    finally:
        child.kill()
        child.wait()


def test_a_signal_or_closed_pipe_stops_the_container(agent, engine):
    for sent, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        with running(agent) as child:
            child.send_signal(sent)
            assert child.wait(30) == code
        assert [one for one in containers(engine, agent) if one["State"] == "running"] == [], sent
    child = subprocess.run(
        f'{sys.executable} -m container_pipeline run -e WAIT=1 -e SAY="$(seq 9999)" --project {agent.folder} | true',
        shell=True,
        env={**os.environ, "CONTAINER_PIPELINE_CODE": agent.code, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    assert "DOCKER_HOST" not in child.stderr
    assert [one for one in containers(engine, agent) if one["State"] == "running"] == []
