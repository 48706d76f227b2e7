"""Runs a project's own commands."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

_KEPT = 20


def run(command: Sequence[str], folder: Path) -> tuple[int, list[str]]:
    """Run a command in ``folder``; return its exit code and its last lines."""
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    return done.returncode, done.stdout.decode(errors="replace").splitlines()[-_KEPT:]


def parses(text: str, shell: str = "sh") -> bool:
    """Return whether ``shell`` takes ``text`` for complete commands; nothing of it runs."""
    try:
        done = subprocess.run([shell, "-n"], input=text.encode("utf-8", "replace"), capture_output=True, check=False)
    except OSError:  # no such shell here: nobody can say
        return True
    return not done.returncode
