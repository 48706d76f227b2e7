"""A project with files from a Windows editor builds and deploys like any other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lab.handle import Lab
from lab.project import Project

AGENT = Path(__file__).parents[2] / "agent"


def run(lab: Lab, project: Project, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environ = lab.environment(PYTHONPATH=str(AGENT), LC_ALL="C", **more)
    command = [sys.executable, "-m", "container_pipeline", *words]
    return subprocess.run(
        command, cwd=project.folder, env=environ, capture_output=True, text=True, timeout=120, check=False
    )


def test_byte_order_marks_and_carriage_returns_change_nothing(lab: Lab, project: Project):
    """Docker and Compose accept both in every file that a person writes."""
    project.write(
        "Dockerfile", 'FROM busybox:latest\nADD . /all/\nADD start /start\nENTRYPOINT ["/bin/sh", "/start"]\n'
    )
    project.write(".dockerignore", "*.log\nsecret\n")
    project.write("a.log", "l")
    project.write("secret", "s")
    project.write("container-pipeline.yml", f"code: {project.code}\ntimeout: 25\nsettle: 2\n")
    for name in ("Dockerfile", ".dockerignore", ".env", "docker-compose.yml", "container-pipeline.yml"):
        text = (project.folder / name).read_text()
        (project.folder / name).write_text("\ufeff" + text.replace("\n", "\r\n"), encoding="utf-8", newline="")
    for builder, command in (("engine", "build"), ("auto", "ship")):
        done = run(lab, project, command, "--json", CONTAINER_PIPELINE_BUILDER=builder)
        assert done.returncode == 0, done.stderr
        version = json.loads(done.stdout)["version"]
        image = f"{lab.development.address}/{project.code}:{version}"
        inside = lab.docker("run", "--rm", "--entrypoint", "ls", image, "-a", "/all").split()
        assert "start" in inside
        assert {"a.log", "secret"} & set(inside) == set()
    for server in lab.servers:
        assert server.get(project.port) == {"version": version, "env": "test", "text": "hello"}


@pytest.mark.parametrize("name", [".dockerignore", "Dockerfile"])
def test_build_refuses_a_utf_16_file(lab: Lab, project: Project, name: str):
    """Docker would take no line of it for a pattern, and .env would get into the image."""
    text = (project.folder / name).read_text() if name == "Dockerfile" else "secret\n.env\n"
    (project.folder / name).write_bytes(text.encode("utf-16"))
    done = run(lab, project, "build", "--code", project.code)
    assert done.returncode == 1
    assert f"{name} is UTF-16, which Docker cannot read — save it as UTF-8" in done.stderr
