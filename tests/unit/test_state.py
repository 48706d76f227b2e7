"""State files of a build are trusted only if complete."""

from __future__ import annotations

import json
import os

import pytest

from container_pipeline.errors import SettingsError, StateError
from container_pipeline.project import files, state
from container_pipeline.project.state import Built
from unit.table import table

BUILT = Built("team/web", "20261124093015", image_id="sha256:" + "1" * 64, sources="abc")
DIGEST = "sha256:" + "2" * 64


def test_what_was_written_is_read(tmp_path):
    state.write(tmp_path, BUILT)
    assert state.read(tmp_path) == BUILT


def test_docker_sh_reads_its_own_two_files(tmp_path):
    state.write(tmp_path, BUILT)
    assert (tmp_path / ".docker_build_image").read_text() == "team/web\n"
    assert (tmp_path / ".docker_build_version").read_text() == "20261124093015\n"


def test_docker_sh_files_give_image_and_version_only(tmp_path):
    (tmp_path / ".docker_build_image").write_text("web\n")
    (tmp_path / ".docker_build_version").write_text("20261124093015\n")
    assert state.read(tmp_path) == Built("web", "20261124093015")


def test_a_record_of_another_build_is_not_believed(tmp_path):
    state.write(tmp_path, BUILT)
    (tmp_path / ".docker_build_version").write_text("20261124093016\n")
    assert state.read(tmp_path) == Built("team/web", "20261124093016")


def test_nothing_is_read_where_nothing_was_built(tmp_path):
    assert state.read(tmp_path) is None


@table("text", ["", "\n", "20261124093015\r\n", "a\nb\n", " 20261124093015\n", "-rf\n", "latest\n", "$(id)\n", "\0"])
def test_bad_version_file_is_refused_with_a_hint(tmp_path, text):
    state.write(tmp_path, BUILT)
    (tmp_path / ".docker_build_version").write_bytes(text.encode())
    with pytest.raises(StateError) as caught:
        state.read(tmp_path)
    assert "container-pipeline build" in caught.value.hint


def test_an_image_file_that_is_missing_is_refused(tmp_path):
    (tmp_path / ".docker_build_version").write_text("20261124093015\n")
    with pytest.raises(StateError):
        state.read(tmp_path)


@table("text", ["", "{", "[]", json.dumps({"image": "team/web"})])
def test_a_broken_record_is_no_record(tmp_path, text):
    state.write(tmp_path, BUILT)
    (tmp_path / ".docker_build.json").write_text(text)
    assert state.read(tmp_path) == Built("team/web", "20261124093015")


def test_digest_is_recorded_only_for_its_own_version(tmp_path):
    state.write(tmp_path, BUILT)
    state.write_digest(tmp_path, "20261124093014", "sha256:" + "3" * 64)
    state.write_digest(tmp_path, BUILT.version, DIGEST)
    read = state.read(tmp_path)
    assert read
    assert read.digest == DIGEST


def test_a_version_is_given_once(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert state.reserve("dev/web", "20261124093015")
    assert not state.reserve("dev/web", "20261124093015")
    assert state.reserve("dev/other", "20261124093015")
    assert state.reserve("dev/web", "20261124093016")


def test_build_works_without_a_folder_for_reservations(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert state.reserve("dev/web", "20261124093015")


def test_unwritable_folder_is_reported_with_the_reason(tmp_path):
    assert state.cannot_write(tmp_path) == ""
    assert state.cannot_write(tmp_path / "missing") == "No such file or directory"
    assert list(tmp_path.iterdir()) == []


@table("digest", ["sha256:12", "latest", 5, ["x"]])
def test_record_with_invalid_digest_is_refused_with_hint(tmp_path, digest):
    state.write(tmp_path, BUILT)
    record = json.loads((tmp_path / ".docker_build.json").read_text())
    (tmp_path / ".docker_build.json").write_text(json.dumps({**record, "digest": digest}))
    with pytest.raises(StateError) as caught:
        state.read(tmp_path)
    assert ".docker_build.json" in caught.value.message
    assert "container-pipeline build" in caught.value.hint


def test_no_planted_symbolic_link_is_followed(tmp_path):
    """Neither where a file goes, nor under a name that a temporary file might have."""
    project, victim = tmp_path / "project", tmp_path / "victim"
    project.mkdir()
    victim.write_text("precious")
    for name in (state.VERSION_FILE, state.IMAGE_FILE, state.RECORD_FILE):
        (project / name).symlink_to(victim)
        (project / f"{name}.{os.getpid()}.tmp").symlink_to(victim)
    state.write(project, BUILT)
    assert state.read(project) == BUILT
    assert victim.read_text() == "precious"
    assert not (project / state.VERSION_FILE).is_symlink()


def test_linked_file_is_replaced_only_inside_its_folder(tmp_path):
    project = tmp_path / "project"
    (project / "deploy").mkdir(parents=True)
    for place in (project / "deploy" / "inside", tmp_path / "outside"):
        place.write_text("old")
        (project / place.name).symlink_to(place)
    files.replace(project / "inside", "new", follow=True)
    assert (project / "inside").is_symlink()
    assert (project / "deploy" / "inside").read_text() == "new"
    with pytest.raises(SettingsError, match="out of its folder"):
        files.replace(project / "outside", "new", follow=True)
    assert (tmp_path / "outside").read_text() == "old"
    assert sorted(path.name for path in project.iterdir()) == ["deploy", "inside", "outside"]
