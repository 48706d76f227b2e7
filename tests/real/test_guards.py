"""Each guard of a deploy has a test that `make test` runs."""

from __future__ import annotations

import os
import subprocess
import sys

from mutations.entry import REPOSITORY
from mutations.table import MUTATIONS


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
    listed = set(done.stdout.splitlines())
    assert [one.promise for one in MUTATIONS if listed.isdisjoint(f"tests/{test}" for test in one.tests)] == []
    # Without its case in brackets, a name means each case, those of the matrix too.
    functions = {line.partition("[")[0] for line in listed} - listed
    assert [test for one in MUTATIONS for test in one.tests if f"tests/{test}" in functions] == []
