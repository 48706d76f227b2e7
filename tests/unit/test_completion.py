"""Shells complete commands and options."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

AGENT = Path(__file__).parents[2] / "agent"


@pytest.fixture
def command(tmp_path: Path) -> dict[str, str]:
    """An environment in which `container-pipeline` is a command."""
    script = tmp_path / "container-pipeline"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m container_pipeline "$@"\n')
    script.chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(AGENT), "LC_ALL": "C"}


def in_bash(lines: list[str], environ: dict[str, str]) -> list[set[str]]:
    """Return what bash offers at the end of each line."""
    program = 'eval "$(_CONTAINER_PIPELINE_COMPLETE=bash_source container-pipeline)"\n' + "".join(
        f"COMPREPLY=(); COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n"
        '_container_pipeline_completion container-pipeline\necho "${COMPREPLY[@]}"\n'
        for line in lines
    )
    done = subprocess.run(["bash", "-c", program], env=environ, capture_output=True, text=True, check=True)
    return [set(line.split()) for line in done.stdout.splitlines()]


def test_bash_completes_commands_and_options(command):
    offered = in_bash(["container-pipeline de", "container-pipeline deploy --ver"], command)
    assert offered == [{"deploy"}, {"--version", "--verbose"}]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_documented_lines_give_a_script(shell, command):
    program = f"_CONTAINER_PIPELINE_COMPLETE={shell}_source container-pipeline"
    done = subprocess.run(["sh", "-c", program], env=command, capture_output=True, text=True, check=True)
    assert "container-pipeline" in done.stdout
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=done.stdout, text=True, check=True)
