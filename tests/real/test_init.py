"""Files from init for common kinds of projects build, run and deploy unchanged."""

from __future__ import annotations

import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.fixtures import next_port
from lab.handle import Lab

pytestmark = pytest.mark.slow

AGENT = Path(__file__).parents[2] / "agent"
SHAPES = Path(__file__).parent / "shapes"
#: pipenv takes the way of uv and poetry, and installing it alone takes as long as all the others.
NAMES = [
    pytest.param(name, marks=[pytest.mark.matrix] * (name not in ("plain", "fastapi")))
    for name in sorted(path.name for path in SHAPES.iterdir() if path.name != "pipenv")
]


@dataclass(frozen=True)
class Shipped:
    """How a shape's way from an empty folder to the server ended: what failed, and what was said."""

    folder: Path
    code: str
    port: int
    failed: str
    said: str


@pytest.fixture(scope="module")
def shipped(
    lab: Lab, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[dict[str, Shipped]]:
    """The shapes that tests ask for, each on the one server; the first alone, so that the others find its layers in the registry."""
    tests = [item for item in request.session.items if "shipped" in getattr(item, "fixturenames", ())]
    names = {item.callspec.params["name"] for item in tests}
    token = secrets.token_hex(4)

    def way(name: str) -> Shipped:
        folder = tmp_path_factory.mktemp(name) / f"{name}-{token}"
        return _way(lab, Path(shutil.copytree(SHAPES / name, folder)))

    first, *others = sorted(names, key=lambda name: name != "plain")
    done = {first: way(first)}
    with ThreadPoolExecutor(3) as pool:
        done.update(zip(others, pool.map(way, others)))
    yield done
    for one in done.values():
        lab.servers[0].remove(one.code)


def _way(lab: Lab, folder: Path) -> Shipped:
    """init, lint, ship; the port on the server is one that no other test publishes."""
    environ = lab.environment(
        PYTHONPATH=str(AGENT), CONTAINER_PIPELINE_SERVERS=lab.servers[0].name, CONTAINER_PIPELINE_CACHE="true"
    )
    for name in ("DOCKER_REGISTRY_PROD", "DOCKER_REGISTRY_PROD_USER", "DOCKER_REGISTRY_PROD_PASS"):
        del environ[name]
    port = next_port()
    for words in (["init"], ["lint"], ["ship"]):
        command = [sys.executable, "-m", "container_pipeline", *words]
        done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=300)
        if done.returncode:
            return Shipped(folder, folder.name, port, words[0], done.stdout + done.stderr)
        if words == ["init"]:
            _publish(folder, port)
    return Shipped(folder, folder.name, port, "", "")


def _publish(folder: Path, port: int) -> None:
    file = folder / "docker-compose.yml"
    file.write_text(re.sub(r"- \d+:(\d+)$", rf"- {port}:\1", file.read_text(), flags=re.M))


@pytest.mark.parametrize("name", NAMES)
def test_each_project_kind_deploys_and_responds_on_server(lab: Lab, shipped: dict[str, Shipped], name: str):
    one = shipped[name]
    assert not one.failed, f"{one.failed} failed:\n{one.said[-3000:]}"
    assert lab.servers[0].get(one.port) == {"shape": name}


@pytest.mark.parametrize("name", NAMES)
def test_no_service_runs_as_root(lab: Lab, shipped: dict[str, Shipped], name: str):
    assert lab.servers[0].docker("exec", shipped[name].code, "id", "-un").strip() == "app"
