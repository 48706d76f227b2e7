"""Jenkins' abort: children first, then the agent, five seconds in all; a real tree of processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def processes_of(workspace: str) -> list[str]:
    """Return the command lines of all processes that work in a folder."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/cwd").startswith(workspace):
                found.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


@pytest.fixture
def engine(lab, node):
    for name in ("DOCKER_HOST", "DOCKER_REGISTRY", "DOCKER_REGISTRY_USER", "DOCKER_REGISTRY_PASS"):
        node.environment[name] = lab.environment()[name]


@pytest.fixture
def slow(project):
    """A project whose image takes a minute to build."""
    project.append("Dockerfile", "RUN echo slow-step-begins && sleep 60\n")
    return project


def test_an_aborted_build_leaves_no_process(build, engine, slow, jenkins, tmp_path):
    script = f"containerPipeline(code: '{slow.code}', deploy: false)\necho 'not reached'"
    run = build(script, scm=str(slow.folder), abortAt="slow-step-begins")
    assert run.result == "ABORTED"
    # Jenkins kills after five seconds: the code would be 137 then.
    assert "script returned exit code 143" in run.lines
    assert [line for line in run.lines if line.startswith("container-pipeline: ")] == ["container-pipeline: terminated"]
    assert processes_of(str(jenkins.home / "workspace" / tmp_path.name)) == []
    # And nothing runs after the call.
    assert run.stage_names == ["Build"]
    assert "not reached" not in run.lines
    assert run.description == f"{slow.code}: stopped in Build"


@pytest.mark.matrix
def test_a_timeout_around_the_call_aborts_it(build, engine, slow):
    script = f"timeout(time: 4, unit: 'SECONDS') {{ node {{ checkout scm\ncontainerBuild(code: '{slow.code}') }} }}"
    run = build(script, scm=str(slow.folder))
    assert run.result == "ABORTED"
    assert "Timeout has been exceeded" in run.log
