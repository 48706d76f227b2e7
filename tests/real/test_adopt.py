"""adopt converts the original docker.sh and changed ones, and builds with both to show that they are equivalent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from container_pipeline.__main__ import main
from lab.handle import Lab
from lab.project import Project

ORIGINAL = os.environ.get("DOCKER_SH", "")
pytestmark = pytest.mark.skipif(not ORIGINAL and not os.environ.get("CI"), reason="DOCKER_SH names no original script")

BUILD = "docker build --no-cache --force-rm $BUILD_DIRECTORY -t"
RUN = "docker run --rm -p 80:80 $BUILD_REGISTRY"
DEPLOY = """
deploy() {
  for host in web-1.example web-2.example; do
    scp docker-compose.yml root@$host:/docker/compose/
  done
  ssh -p 2222 root@web-1.example "cd /docker/compose && docker-compose up -d"
}

RC=0
"""
# Name → replacements in the script, the resulting settings, and parts of notes.
CHANGED: dict[str, tuple[dict[str, str], dict[str, object], tuple[str, ...]]] = {
    "another namespace, port and volume, and what has no counterpart": (
        {
            'BUILD_NAMESPACE=""': 'BUILD_NAMESPACE="team"',
            RUN: "docker run --rm -d -p 8080:8080 -v $LOGS:/logs -e ENV=dev --name web --memory 1g $BUILD_REGISTRY",
            "\nRC=0\n": f"\nLOGS=/opt/logs{DEPLOY}",
            'case "$1" in\n': 'case "$1" in\ndeploy)\n  deploy\n  ;;\n',
        },
        {
            "namespace": "team",
            "run": {
                "ports": ["8080:8080"],
                "volumes": ["/opt/logs:/logs"],
                "environment": {"ENV": "dev"},
                "name": "web",
                "detach": True,
            },
            "servers": ["root@web-1.example:2222"],
        },
        (
            "✓ namespace: team",
            "✗ docker run --memory 1g — it has no counterpart",
            "✗ deploy) — this command has no counterpart",
        ),
    ),
    "build arguments, another Dockerfile, the cache": (
        {BUILD: "docker build --build-arg TEXT='two words' -f $BUILD_DIRECTORY/docker/Dockerfile $BUILD_DIRECTORY -t"},
        {"build_args": {"TEXT": "two words"}, "dockerfile": "docker/Dockerfile", "cache": True},
        ("✓ dockerfile: docker/Dockerfile",),
    ),
    "a command before the build": (
        {f"  {BUILD}": f"  echo built > $BUILD_DIRECTORY/made || exit 1\n  sh ./prepare.sh\n  {BUILD}"},
        {},
        ("✓ sh ./prepare.sh (before the build, in the Jenkinsfile)",),
    ),
}


def script(code: str, changes: dict[str, str]) -> str:
    text = (
        Path(ORIGINAL).read_text(encoding="utf-8").replace("BUILD_IMAGE_NAME=aglaia-web-re", f"BUILD_IMAGE_NAME={code}")
    )
    for old, new in changes.items():
        assert old in text, f"the original has no {old!r}"
        text = text.replace(old, new)
    return text


@pytest.fixture
def adopted(lab: Lab, project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose image does not depend on the builder."""
    for name, value in lab.environment(LC_ALL="C").items():
        monkeypatch.setenv(name, value)
    project.write("prepare.sh", "echo prepared > prepared\n")
    (project.folder / "docker").mkdir()
    project.write("docker/Dockerfile", "FROM busybox:latest\nARG TEXT=none\nRUN echo $TEXT > /text\nCMD true\n")
    return project


def test_adopt_converts_original_and_verify_leaves_nothing_behind(
    adopted: Project, code: str, lab: Lab, capsys: pytest.CaptureFixture[str]
):
    adopted.write("docker.sh", script(code, {}))
    assert main(["adopt", "--verify", "--project", str(adopted.folder)]) == 0
    shown = capsys.readouterr()
    assert "✗" not in shown.out
    assert "docker.sh and container-pipeline build the same image" in shown.err
    assert settings(adopted) == {"code": code}
    assert f"containerPipeline(code: '{code}')" in (adopted.folder / "Jenkinsfile").read_text()
    assert (adopted.folder / "docker.sh").exists()
    assert lab.docker("images", "-q", f"{lab.development.address}/{code}").split() == []
    assert not (adopted.folder / ".docker_build_version").exists()


@pytest.mark.parametrize("name", CHANGED)
def test_a_changed_one_builds_the_same(adopted: Project, code: str, capsys: pytest.CaptureFixture[str], name: str):
    changes, expected, notes = CHANGED[name]
    adopted.write("docker.sh", script(code, changes))
    assert main(["adopt", "--verify", "--remove", "--project", str(adopted.folder)]) == 0, capsys.readouterr().err
    shown = capsys.readouterr().out
    assert [note for note in notes if note not in shown] == []
    assert settings(adopted) == {"code": code, **expected}
    assert not (adopted.folder / "docker.sh").exists()


def test_adopt_keeps_commands_before_the_build_in_jenkinsfile(adopted: Project, code: str):
    changes, _expected, _notes = CHANGED["a command before the build"]
    adopted.write("docker.sh", script(code, changes))
    assert main(["adopt", "--project", str(adopted.folder)]) == 0
    lines = [line.strip() for line in (adopted.folder / "Jenkinsfile").read_text().splitlines()]
    assert lines[2:] == [
        "node {",
        "checkout scm",
        "sh 'echo built > ./made'",
        "sh 'sh ./prepare.sh'",
        f"containerPipeline(code: '{code}')",
        "}",
    ]


def test_a_difference_is_found_and_docker_sh_stays(adopted: Project, code: str, capsys: pytest.CaptureFixture[str]):
    adopted.write("docker.sh", script(code, {'"+%Y%m%d%H%M%S"': '"+v%Y%m%d-%H%M%S"'}))
    assert main(["adopt", "--verify", "--remove", "--project", str(adopted.folder)]) == 1
    shown = capsys.readouterr()
    assert "here, versions are the local time %Y%m%d%H%M%S" in shown.out
    assert "version: v20" in shown.err
    assert "docker.sh and container-pipeline build different images" in shown.err
    assert (adopted.folder / "docker.sh").exists()


def settings(project: Project) -> dict[str, object]:
    loaded = yaml.safe_load((project.folder / "container-pipeline.yml").read_text())
    assert isinstance(loaded, dict)
    return loaded
