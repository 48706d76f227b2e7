"""The table of combinations (docs/servers.md): each is refused here, by name, or has a test on real parts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from container_pipeline.console import Console
from container_pipeline.errors import SettingsError
from container_pipeline.execute import Run, release
from container_pipeline.result import Result
from container_pipeline.settings import load
from mutations.entry import REPOSITORY
from real.combinations import COMBINATIONS, Combination
from unit.table import table

ENVIRONMENT = {"DOCKER_REGISTRY": "registry.example:5000", "DOCKER_REGISTRY_USER": "u", "DOCKER_REGISTRY_PASS": "p"}
BUILT = {"schema": 1, "image": "web", "version": "20261124000000", "digest": f"sha256:{1:064}"}


def run_of(one: Combination, folder: Path) -> Run:
    folder.mkdir()
    for name, text in one.project("web", "web-1", "a page").items():
        (folder / name).write_text(text)
    (folder / ".docker_build_image").write_text("web\n")
    (folder / ".docker_build_version").write_text(f"{BUILT['version']}\n")
    (folder / ".docker_build.json").write_text(json.dumps(BUILT))
    return Run(load(folder, {}, "test" if one.environment else "", ENVIRONMENT), Console(), Result("deploy"))


@table("one", COMBINATIONS)
def test_a_combination_is_refused_by_name_or_taken(one: Combination, tmp_path: Path):
    run = run_of(one, tmp_path / str(one))
    if one.refused:
        with pytest.raises(SettingsError, match=one.refused):
            release.check(run)
    else:
        release.check(run)


@table("one", [one for one in COMBINATIONS if one.environment and not one.refused])
def test_an_environment_brings_the_same_release(one: Combination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("time.strftime", lambda *_given: "2026-11-24T00:00:00Z")
    runs = [run_of(each, tmp_path / str(each)) for each in (one, replace(one, environment=False))]
    assert runs[0].settings.targets() == runs[1].settings.targets()
    brought, alone = (release.gather(each, None) for each in runs)
    # Only the record's field tells them apart.
    named = replace(alone.release, environment="test")
    assert brought.release == named
    assert brought.files == tuple(
        replace(file, data=named.record()) if file.path == "release.json" else file for file in alone.files
    )


def test_the_tests_that_the_table_names_are_there():
    for test in {one.test for one in COMBINATIONS if not one.refused}:
        path, _colons, name = test.partition("::")
        assert f"\ndef {name}(" in (REPOSITORY / "tests" / path).read_text(encoding="utf-8")
