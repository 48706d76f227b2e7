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
[ "$1" ] && exit "$1"
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


def test_run_separates_stdout_and_stderr_and_removes_container(agent, engine):
    outcome = agent("run", "-e", "SAY=hello")
    assert outcome.code == 0
    assert outcome.out == "to stdout hello\n"
    assert "to stderr" in outcome.err
    assert containers(engine, agent) == []


def test_the_containers_exit_code_is_the_commands(agent, engine):
    (agent.folder / "Dockerfile").write_text("FROM busybox:latest\nENTRYPOINT exit 42\n")
    assert agent("build").code == 0
    outcome = agent("run", "--json")
    assert outcome.code == 42
    assert outcome.result["exit_code"] == 42
    assert containers(engine, agent) == []


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


def test_the_project_file_may_say_the_same(agent, engine):
    (agent.folder / "logs").mkdir()
    project(agent, ports=[], name=agent.code, detach=True, environment={"WAIT": 1}, volumes=["./logs:/logs"])
    assert agent("run").code == 0
    container = engine.inspect_container(agent.code)
    engine.remove_container(agent.code, force=True)
    assert container["Mounts"][0]["Source"] == f"{agent.folder}/logs"


def test_occupied_port_fails_run_and_leaves_no_container(agent, engine, development):
    port = development.address.rpartition(":")[2]
    outcome = agent("run", "-p", f"{port}:80")
    assert outcome.code == 1
    assert "could not be run" in outcome.err
    assert containers(engine, agent) == []


def test_run_pulls_an_image_missing_from_the_engine(agent, engine, development):
    assert agent("push").code == 0
    version = (agent.folder / ".docker_build_version").read_text().strip()
    engine.remove_image(f"{development.address}/{agent.code}:{version}", force=True)
    assert agent("run").code == 0


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


@pytest.mark.parametrize(("sent", "code_of_end"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_the_container(agent, engine, sent, code_of_end):
    with running(agent) as child:
        child.send_signal(sent)
        assert child.wait(30) == code_of_end
    assert [one for one in containers(engine, agent) if one["State"] == "running"] == []


def test_a_dry_run_starts_nothing(agent, engine):
    outcome = agent("run", "--dry-run")
    assert outcome.code == 0
    assert outcome.out.startswith("run ")
    assert containers(engine, agent) == []


def test_before_a_build_there_is_nothing_to_run(agent):
    for path in agent.folder.glob(".docker_build*"):
        path.unlink()
    outcome = agent("run")
    assert outcome.code == 1
    assert "nothing has been built here yet" in outcome.err


def test_interrupt_before_start_leaves_no_container(agent, engine, monkeypatch):
    def interrupted(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(docker.APIClient, "attach", interrupted)
    assert agent("run").code == 130
    assert containers(engine, agent) == []


def test_closed_output_pipe_stops_the_container_silently(agent, engine):
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
