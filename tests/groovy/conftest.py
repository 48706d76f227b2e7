"""A Jenkins with the library in it, and a node that has python3, docker and ssh, and nothing else of ours."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tools import pack

from groovy.company import company, two_registries, two_servers  # noqa: F401 - fixtures
from groovy.jenkins import ROOT, Jenkins, Run
from groovy.node import Node


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "jenkins" in getattr(item, "fixturenames", ()):
            item.add_marker("groovy")


@pytest.fixture(scope="session")
def jenkins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jenkins]:
    """The JVM, one for each test process."""
    if not shutil.which("java"):
        message = "Java 17 is needed for these tests: apt-get install openjdk-17-jdk-headless maven"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    one = Jenkins(tmp_path_factory.mktemp("jenkins"))
    yield one
    one.close()


@pytest.fixture(scope="session")
def resources(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The library's resources, with the agent as the sources are now laid over the committed one."""
    overlay = tmp_path_factory.mktemp("resources")
    pack.build(overlay / "container-pipeline")
    return [overlay, ROOT / "resources"]


NO_REGISTRY = "DOCKER_REGISTRY is not set"
#: An agent that fails as the real one does, after it has imported a library.
SMALL = {
    "__init__.py": "",
    "errors.py": f"# As long as what a test puts in its place.\nMESSAGE = {NO_REGISTRY!r}\n",
    "__main__.py": """import json, sys, click
from container_pipeline.errors import MESSAGE
def main(argv):
    print("container-pipeline: " + MESSAGE, file=sys.stderr)
    print(json.dumps({"error": {"message": MESSAGE}}))
    return 1
""",
}


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of an agent with next to nothing in them: to unpack and compile the real ones takes seconds, and changes nothing
    in tests of how they come to a node."""
    folder = tmp_path_factory.mktemp("small")
    code = folder / "agent" / "container_pipeline"
    code.mkdir(parents=True)
    for name, text in SMALL.items():
        (code / name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pack, "_others", lambda: iter([("click.py", b"")]))
        pack.build(folder / "container-pipeline", folder / "agent")
    return folder / "container-pipeline"


@pytest.fixture
def cold_node(tmp_path: Path) -> Node:
    """A node without previous builds; builds send it the small agent."""
    return Node(tmp_path / "node")


@pytest.fixture
def node(cold_node: Node, tmp_path_factory: pytest.TempPathFactory) -> Node:
    """A node that has the agent from an earlier test, as nodes mostly have from an earlier build."""
    cold_node.environment["XDG_CACHE_HOME"] = str(tmp_path_factory.getbasetemp() / "agent-cache")
    return cold_node


class Builds:
    """Runs Jenkinsfiles against the library; whatever Jenkins would warn of or refuse fails the test."""

    def __init__(self, jenkins: Jenkins, resources: list[Path], node: Node, tmp_path: Path) -> None:
        self._jenkins = jenkins
        self._node = node
        self._defaults: dict[str, Any] = {"resources": resources, "job": tmp_path.name, "credentials": {}}

    def start(self, script: str, **more: Any) -> Any:
        return self._jenkins.start(script, **{**self._defaults, "node": self._node.environment, **more})

    def __call__(self, script: str, **more: Any) -> Run:
        run: Run = self.start(script, **more).wait()
        assert run.problems == []
        return run


@pytest.fixture
def build(request: pytest.FixtureRequest, jenkins: Jenkins, resources: list[Path], tmp_path: Path) -> Builds:
    cold = "cold_node" in request.fixturenames and "node" not in request.fixturenames
    if cold:
        resources = [request.getfixturevalue("small_bundle").parent, *resources]
    return Builds(jenkins, resources, request.getfixturevalue("cold_node" if cold else "node"), tmp_path)
