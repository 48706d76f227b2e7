"""What goes with a build to another node: all that a promotion and a deploy read of the project, and nothing that is not its own."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from container_pipeline.commands.library import carry
from container_pipeline.console import Console
from container_pipeline.errors import StateError
from container_pipeline.execute import Run
from container_pipeline.result import Result
from container_pipeline.settings import load
from lab.project import Project

TEXT = """\
code: a-b
files: [conf]
verify: keys/cosign.pub
environments:
  prod: {compose_file: prod/compose.yml, env_file: .env.prod}
"""


def run_in(folder: Path, environ: dict[str, str] | None = None) -> Run:
    return Run(load(folder, {}, "", environ or {}), Console(), Result("carry", "a-b"))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "here", "a-b", 8080)
    made.write("container-pipeline.yml", TEXT)
    for name in ("conf", "keys", "prod", "src"):
        (made.folder / name).mkdir()
    for name in (
        *("conf/site.conf", "keys/cosign.pub", "keys/cosign.key", "prod/compose.yml", "src/app.py"),
        *(".env.prod", ".docker_build_image", ".docker_build_version", ".docker_build.json"),
    ):
        made.write(name, name)
    (made.folder / ".env.prod").chmod(0o600)
    return made


def carried(project: Project, target: Path, environ: dict[str, str] | None = None) -> list[str]:
    run = run_in(project.folder, environ)
    carry.pack(run, target / "carried.tar", [load(project.folder, {}, "prod", environ or {})])
    there = run_in(target / "there", environ)
    carry.unpack(there, target / "carried.tar")
    found = [path.relative_to(target / "there").as_posix() for path in (target / "there").rglob("*") if path.is_file()]
    return sorted(found)


def test_files_that_later_stages_read_go_along(project, tmp_path):
    (tmp_path / "there").mkdir()
    assert carried(project, tmp_path) == [
        *(".docker_build.json", ".docker_build_image", ".docker_build_version", ".env", ".env.prod"),
        *("conf/site.conf", "container-pipeline.yml", "docker-compose.yml", "keys/cosign.pub", "prod/compose.yml"),
    ]
    assert (tmp_path / "there" / ".env.prod").read_text() == ".env.prod"
    assert (tmp_path / "there" / ".env.prod").stat().st_mode & 0o777 == 0o600


def test_a_secret_file_of_jenkins_stays_behind(project, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "credential").write_text("TOKEN=canary")
    (project.folder / ".env").unlink()
    (project.folder / ".env").symlink_to(tmp_path / "credential")
    environ = {"CONTAINER_PIPELINE_ENV_FILE": str(tmp_path / "credential")}
    assert not any(name.startswith(".env") for name in carried(project, tmp_path, environ))
    assert b"canary" not in (tmp_path / "carried.tar").read_bytes()


def test_env_from_takes_along_what_git_tracks(project, tmp_path):
    (tmp_path / "there").mkdir()
    project.write("container-pipeline.yml", TEXT + "env_from: [./src/secrets.sh]\n")
    run = run_in(project.folder)
    assert not carry.possible(run.settings, [])
    project.write(".gitignore", "keys/cosign.key\n")
    project.commit("All of it")
    project.write("untracked", "left")
    assert carry.possible(run.settings, [])
    found = carried(project, tmp_path)
    assert "src/app.py" in found
    assert "untracked" not in found
    assert "keys/cosign.key" not in found


def test_a_large_repository_stays_on_its_node(project, monkeypatch):
    monkeypatch.setattr(carry, "_LARGEST", 3)
    project.write("container-pipeline.yml", TEXT + "env_from: [./src/secrets.sh]\n")
    project.commit("All of it")
    assert not carry.possible(run_in(project.folder).settings, [])


@pytest.mark.parametrize("kind", ["outside", "absolute", "link", "twice", "no archive", "cut"])
def test_damaged_archives_end_with_one_sentence(project, tmp_path, kind):
    there = tmp_path / "there"
    there.mkdir()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo({"outside": "../evil", "absolute": str(tmp_path / "evil")}.get(kind, "evil"))
        if kind == "link":
            entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        entry.size = 2000 if kind != "link" else 0
        for _time in range(2 if kind == "twice" else 1):
            archive.addfile(entry, io.BytesIO(b"x" * 2000))
    data = {"no archive": b"<html>", "cut": buffer.getvalue()[:1000]}.get(kind, buffer.getvalue())
    (tmp_path / "carried.tar").write_bytes(data)
    with pytest.raises(StateError, match=r"what was built cannot be carried to this node: .+"):
        carry.unpack(run_in(there), tmp_path / "carried.tar")
    assert not (tmp_path / "evil").exists()
