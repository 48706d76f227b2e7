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


def in_bash(words: str, environ: dict[str, str]) -> set[str]:
    program = (
        'eval "$(_CONTAINER_PIPELINE_COMPLETE=bash_source container-pipeline)"\n'
        f"COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n"
        '_container_pipeline_completion container-pipeline\nprintf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", program], env=environ, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_bash_completes_commands_and_options(command):
    assert in_bash("container-pipeline de", command) == {"deploy"}
    assert in_bash("container-pipeline deploy --ver", command) == {"--version", "--verbose"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_documented_lines_give_a_script(shell, command):
    program = f"_CONTAINER_PIPELINE_COMPLETE={shell}_source container-pipeline"
    done = subprocess.run(["sh", "-c", program], env=command, capture_output=True, text=True, check=True)
    assert "container-pipeline" in done.stdout
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=done.stdout, text=True, check=True)
