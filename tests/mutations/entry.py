"""One mutation: the removal of a guard, and the tests that must fail without it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = "agent/container_pipeline"


@dataclass(frozen=True)
class Mutation:
    """``changes`` are texts of ``file`` (below the package), each there exactly once, and what stands there instead."""

    promise: str
    file: str
    changes: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]

    def apply(self, tree: Path) -> None:
        """Change the file in a copy of the repository. Raises ValueError where a text is not there exactly once."""
        path = tree / PACKAGE / self.file
        path.write_text(self.changed(path.read_text(encoding="utf-8")), encoding="utf-8")

    def changed(self, text: str) -> str:
        """Return the file's ``text`` without the guard. Raises ValueError as ``apply`` does."""
        for old, new in self.changes:
            if text.count(old) != 1:
                raise ValueError(f"{self.file} has this {text.count(old)} times: {old}")
            text = text.replace(old, new)
        return text
