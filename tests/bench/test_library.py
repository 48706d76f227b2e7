"""What the Jenkins library adds to a step, on a node that has the agent and on one that does not; and the agent's size.

The step is one that ends before it asks anybody outside (a setting is missing), so all of its time is the library's: the
interpreter, the shell, bringing the agent, starting it, reading its settings, carrying the answer back.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tools import pack

from bench.record import in_turn, keep, record
from groovy.jenkins import ROOT, Jenkins
from groovy.node import Node
from lab.project import Project

ROUNDS = 5
STEP = "node { try { containerPromote(code: 'a-b', version: '1') } catch (IOException expected) { } }"


@pytest.fixture
def sides(tmp_path):
    if not shutil.which("java"):
        pytest.skip("Java is needed for Jenkins' interpreter")
    pack.build(tmp_path / "resources" / "container-pipeline")
    jenkins, node = Jenkins(tmp_path / "jenkins"), Node(tmp_path / "node")
    resources = [tmp_path / "resources", ROOT / "resources"]

    def run(script: str) -> None:
        done = jenkins.run(script, node=node.environment, resources=resources)
        assert done.result == "SUCCESS", done.log

    def cold() -> None:
        shutil.rmtree(node.home / ".cache", ignore_errors=True)
        run(STEP)

    # In turn, so that each warm run follows a cold one.
    turns = {"cold node": cold, "warm node": lambda: run(STEP), "sh 'true'": lambda: run("node { sh 'true' }")}
    yield {"jenkins": jenkins, "node": node, "resources": resources, "turns": turns}
    jenkins.close()


FLOW = """def answer = containerPipeline(code: 'bench-re', promote: false, deploy: false)
echo "own seconds: ${answer.steps.collect { it.seconds }.sum()}" """


def test_what_the_flow_costs_beside_docker_and_registry(sides, lab, tmp_path: Path):
    """Return the flow's time without that of its steps (build, push, latest), by stage: before, Build, Push, after."""
    jenkins, node = sides["jenkins"], sides["node"]
    for name in ("DOCKER_HOST", "DOCKER_REGISTRY", "DOCKER_REGISTRY_USER", "DOCKER_REGISTRY_PASS"):
        node.environment[name] = lab.environment()[name]
    project = Project(tmp_path / "project", "bench-re", 8080)
    overheads = []
    for _ in range(ROUNDS):
        done = jenkins.run(FLOW, node=node.environment, resources=sides["resources"], scm=str(project.folder))
        assert done.result == "SUCCESS", done.log
        own = float(next(line for line in done.lines if line.startswith("own seconds: ")).split(": ")[1])
        overheads.append(done.seconds - own)
    record("The library's own time in a flow of two stages", {"stages, build, push and report": overheads})


def test_what_a_step_costs(sides, tmp_path: Path):
    seconds = in_turn(sides["turns"], ROUNDS, warm_up=2)
    record("One step of the library", seconds)
    carried = tmp_path / "resources" / "container-pipeline"
    size = sum((carried / name).stat().st_size for name in (pack.OWN, pack.LIBRARIES))
    keep("The agent as one file", {"bytes": size})
    print(f"the agent: {size} bytes")
