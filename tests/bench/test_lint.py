"""How long lint takes on a repository of 5,000 files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.record import in_turn, record

ROOT = Path(__file__).parents[2]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The example project with 5,000 more files, all tracked by git."""
    folder = Path(shutil.copytree(ROOT / "examples/aglaia-web-re", tmp_path / "large"))
    for number in range(5000):
        file = folder / f"package_{number // 100}" / f"module_{number}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"VALUE = {number}\n" * 20)
    for command in (["init", "-q", "."], ["add", "-f", "."]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def test_lint_on_5000_files(repository: Path):
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "agent")}

    def run(*arguments: str) -> None:
        command = [sys.executable, "-m", "container_pipeline", *arguments, "--project", str(repository)]
        subprocess.run(command, env=environ, check=True, stderr=subprocess.DEVNULL)

    record("lint, 5,000 files", in_turn({"container-pipeline lint": lambda: run("lint")}, rounds=5))
