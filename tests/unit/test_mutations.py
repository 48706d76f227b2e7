"""The list of mutations (`make mutations`) matches the code."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mutations.entry import PACKAGE, REPOSITORY, Mutation
from mutations.table import MUTATIONS


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.promise)
def test_mutation_changes_the_file_and_keeps_it_valid(mutation: Mutation, tmp_path: Path):
    path = tmp_path / PACKAGE / mutation.file
    path.parent.mkdir(parents=True)
    shutil.copy2(REPOSITORY / PACKAGE / mutation.file, path)
    before = path.read_text(encoding="utf-8")
    mutation.apply(tmp_path)
    assert path.read_text(encoding="utf-8") != before
    if path.suffix == ".sh":
        subprocess.run(["sh", "-n", path], check=True)
    else:
        compile(path.read_text(encoding="utf-8"), str(path), "exec")


def test_make_test_has_a_test_of_each_guard():
    files = sorted({f"tests/{test.partition('::')[0]}" for one in MUTATIONS for test in one.tests})
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--collect-only",
        "-p",
        "no:cacheprovider",
        "-m",
        "not matrix",
        *files,
    ]
    environ = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    done = subprocess.run(command, cwd=REPOSITORY, env=environ, capture_output=True, text=True, check=True)
    listed = done.stdout.splitlines()
    names = {*listed, *(line.partition("[")[0] for line in listed)}
    assert [one.promise for one in MUTATIONS if names.isdisjoint(f"tests/{test}" for test in one.tests)] == []


@pytest.mark.parametrize("test", sorted({test for one in MUTATIONS for test in one.tests}))
def test_the_tests_that_it_names_are_there(test: str):
    path, _colons, name = test.partition("::")
    assert f"\ndef {name.partition('[')[0]}(" in (REPOSITORY / "tests" / path).read_text(encoding="utf-8")
