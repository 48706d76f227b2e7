"""Measure how much commits that change the agent enlarge a clone: ``python -m tools.growth [COMMITS]``.

Each commit changes one line of the agent's code and packs the agent anew, in a repository of its own.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools import pack


def growth(commits: int) -> int:
    """Return by how many bytes the commits enlarge a fresh clone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "repository"
        shutil.copytree(
            pack.ROOT / "agent", folder / "agent", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
        _git(folder, "init", "-q", ".")
        _commit(folder, "the first")
        before = _clone(folder, Path(name) / "before")
        modules = sorted((folder / "agent" / "container_pipeline").rglob("*.py"))
        for number in range(commits):
            module = modules[number * 7 % len(modules)]
            lines = module.read_text(encoding="utf-8").splitlines()
            place = number * 13 % max(len(lines), 1)
            lines[place : place + 1] = [f"# line {number} is another one now"]
            module.write_text("\n".join(lines) + "\n", encoding="utf-8")
            _commit(folder, f"change {number}")
        return _clone(folder, Path(name) / "after") - before


def _commit(folder: Path, subject: str) -> None:
    pack.build(folder / "resources" / "container-pipeline", folder / "agent")
    _git(folder, "add", ".")
    _git(folder, "-c", "user.name=growth", "-c", "user.email=growth@example.com", "commit", "-q", "-m", subject)


def _clone(folder: Path, copy: Path) -> int:
    _git(folder, "clone", "-q", "--bare", folder.as_uri(), str(copy))
    return sum(path.stat().st_size for path in copy.rglob("*.pack"))


def _git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-c", "core.hooksPath=/dev/null", *arguments], cwd=folder, check=True)


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    print(f"{count} commits of one line each: a fresh clone has {growth(count)} bytes more")
