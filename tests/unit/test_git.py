"""A build records its sources, with and without git."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from container_pipeline.clients.git import sources
from unit.table import table


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "sub").mkdir()
    for name in ("Dockerfile", "app.py", "sub/more.py"):
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.fixture
def repository(folder, monkeypatch) -> Path:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    git(folder, "init", "-q")
    git(folder, "remote", "add", "origin", "https://user:token@git.example/team/web.git")
    commit(folder)
    return folder


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example"]
    return subprocess.run(
        ["git", *identity, "-C", str(folder), *arguments], check=True, capture_output=True, text=True
    ).stdout


def commit(folder: Path) -> None:
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "change")


def fingerprint(folder: Path) -> str:
    return sources(folder, folder / "Dockerfile").fingerprint


def test_git_reports_revision_and_address_without_login(repository):
    found = sources(repository, repository / "Dockerfile")
    assert found.revision == git(repository, "rev-parse", "HEAD").strip()
    assert found.url == "https://git.example/team/web.git"


def test_without_git_there_is_a_fingerprint_alone(folder, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(folder.parent))
    found = sources(folder, folder / "Dockerfile")
    assert (found.revision, found.url, bool(found.fingerprint)) == ("", "", True)


@pytest.mark.parametrize("kind", ["folder", "repository"])
def test_fingerprint_tracks_changed_files_but_ignores_state_files(kind, request, monkeypatch):
    folder = request.getfixturevalue(kind)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(folder.parent))
    before = fingerprint(folder)
    (folder / ".docker_build_version").write_text("1")
    assert fingerprint(folder) == before
    (folder / "sub/more.py").write_text("changed")
    changed = fingerprint(folder)
    assert changed != before
    (folder / "sub/more.py").write_text("changed, and changed again")
    assert fingerprint(folder) != changed


@pytest.mark.parametrize("kind", ["folder", "repository"])
def test_adding_or_removing_files_changes_the_fingerprint(kind, request, monkeypatch):
    folder = request.getfixturevalue(kind)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(folder.parent))
    before = fingerprint(folder)
    (folder / "sub/new").write_text("")
    assert fingerprint(folder) != before
    (folder / "sub/new").unlink()
    assert fingerprint(folder) == before
    (folder / "app.py").unlink()
    assert fingerprint(folder) != before


def test_fingerprint_tracks_what_any_builder_sends(folder, monkeypatch):
    """BuildKit reads Dockerfile.dockerignore instead of .dockerignore."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(folder.parent))
    (folder / ".dockerignore").write_text("app.py\n")
    (folder / "Dockerfile.dockerignore").write_text("sub\n")
    for name in ("app.py", "sub/a"):
        before = fingerprint(folder)
        (folder / name).write_text("changed by one line\n")
        assert fingerprint(folder) != before, name


def test_commits_outside_the_context_keep_the_fingerprint(repository):
    before = fingerprint(repository / "sub")
    (repository / "app.py").write_text("changed")
    commit(repository)
    assert fingerprint(repository / "sub") == before


@table("login", ["user:token@", "user:p@ss@", "user:p:a@s@", ""])
def test_source_address_omits_every_form_of_login(repository, login):
    git(repository, "remote", "set-url", "origin", f"https://{login}git.example/team/web@1.git")
    assert sources(repository, repository / "Dockerfile").url == "https://git.example/team/web@1.git"


def test_contents_are_not_read(folder, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(folder.parent))
    os.mkfifo(folder / "pipe")
    assert fingerprint(folder)


def test_git_gets_no_password(folder, monkeypatch, tmp_path):
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n/usr/bin/env > {tmp_path}/seen\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.setenv("DOCKER_REGISTRY_PASS", "very secret")
    fingerprint(folder)
    assert "very secret" not in (tmp_path / "seen").read_text()
