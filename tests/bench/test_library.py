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
    yield {"cold node": cold, "warm node": lambda: run(STEP), "sh 'true'": lambda: run("node { sh 'true' }")}
    jenkins.close()


def test_what_a_step_costs(sides, tmp_path: Path):
    seconds = in_turn(sides, ROUNDS, warm_up=2)
    record("One step of the library", seconds)
    size = (tmp_path / "resources" / "container-pipeline" / pack.BUNDLE).stat().st_size
    keep("The agent as one file", {"bytes": size})
    print(f"the agent: {size} bytes")
