"""What a build reads from a project's folder, and how much memory it needs."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from real.builds.helpers import built, files, settings, write


def test_build_handles_spaces_unicode_and_symlinks_without_git(agent, engine, builder, tmp_path):
    folder = tmp_path / "my projects" / "项目 é"
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM busybox:latest\nCOPY . /c\n")
    (folder / "名 字.txt").write_text("x")
    (tmp_path / "link").symlink_to(folder)
    agent.folder = tmp_path / "link"
    outcome = agent("build")
    assert outcome.code == 0, outcome.err
    assert files(engine, built(agent)) == {"Dockerfile", "名 字.txt"}
    assert (folder / ".docker_build_version").exists()


@pytest.mark.parametrize("place", ["docker/Dockerfile.prod", "../elsewhere/Dockerfile"])
def test_the_dockerfile_may_stand_elsewhere(agent, engine, builder, place):
    path = agent.folder / "app" / place
    path.parent.mkdir(parents=True)
    path.write_text("FROM busybox:latest\nCOPY . /c\nLABEL elsewhere=yes\n")
    (agent.folder / "app" / "main.py").write_text("")
    settings(agent, context="app", dockerfile=place)
    outcome = agent("build")
    assert outcome.code == 0, outcome.err
    assert files(engine, built(agent)) - {"docker/Dockerfile.prod"} == {"main.py"}
    assert engine.inspect_image(built(agent))["Config"]["Labels"]["elsewhere"] == "yes"


IGNORED = [
    ["*.log", "!keep.log"],
    ["node", "!node/keep"],
    ["**/*.log", "sub/**/x"],
    ["*", "!sub", "sub/deep"],
    ["/sub/", "./node/../keep.log", "# comment", "  "],
    ["Dockerfile", ".dockerignore"],
    ["*", "!**/x"],
    ["s?b/*", "[!k]*.log", "!sub/deep"],
]


def within(place, line):
    """Let a line be about files of one folder; the names of Dockerfile and .dockerignore mean the project's own."""
    whole = line in ("Dockerfile", ".dockerignore") or line.startswith("#") or not line.strip()
    return line if whole else re.sub(r"^(!?(?:\./|/)?)", rf"\g<1>{place}", line)


@pytest.mark.parametrize(
    "folders", [[*range(len(IGNORED))], *(pytest.param([one], marks=pytest.mark.matrix) for one in range(len(IGNORED)))]
)
def test_build_ignores_the_same_files_as_docker_client(agent, engine, lab, folders, monkeypatch):
    """All in folders of one project, where each line begins with its folder; in the matrix each alone, as it is."""
    lines = []
    for number in folders:
        place = f"{number}/" if len(folders) > 1 else ""
        for name in ("a.log", "keep.log", "sub/b.log", "sub/deep/x", "sub/x", "node/a/x", "node/keep/x"):
            (agent.folder / place / name).parent.mkdir(parents=True, exist_ok=True)
            (agent.folder / place / name).write_text(name)
        lines += [within(place, line) for line in IGNORED[number]]
    write(agent, **{".dockerignore": "\n".join(lines)})
    named = f"test.local/{agent.code}:docker"
    subprocess.run(
        ["docker", "build", "-q", "-t", named, str(agent.folder)],
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
        check=True,
        capture_output=True,
    )
    monkeypatch.setenv("CONTAINER_PIPELINE_BUILDER", "engine")
    assert agent("build").code == 0
    assert files(engine, built(agent)) == files(engine, named)


def test_a_large_context_streams_through_little_memory(agent, engine):
    """tests/bench measures 1 GiB; a context held in memory would be visible here too."""
    with (agent.folder / "large").open("wb") as file:
        file.truncate(200 << 20)
    write(agent, Dockerfile="FROM busybox:latest\nCOPY Dockerfile /\n")
    code = (
        "import sys\nfrom container_pipeline.__main__ import main\nexit_code = main(sys.argv[1:])\n"
        # Not getrusage(): its ru_maxrss includes the parent's memory at the fork.
        "peak = next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "print(exit_code, peak)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "build", "-q", "--project", str(agent.folder)],
        env={
            **os.environ,
            "CONTAINER_PIPELINE_CODE": agent.code,
            "CONTAINER_PIPELINE_BUILDER": "engine",
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    exit_code, kilobytes = map(int, done.stdout.split())
    assert exit_code == 0, done.stderr
    assert kilobytes < 80_000


def test_read_only_project_is_refused_before_the_build(agent, engine):
    script = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && exec "$2" -m container_pipeline build --project "$1"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(agent.folder), sys.executable],
        env={**os.environ, "CONTAINER_PIPELINE_CODE": agent.code, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("container-pipeline: the version cannot be recorded in")
    assert engine.images(f"{os.environ['DOCKER_REGISTRY']}/{agent.code}") == []
