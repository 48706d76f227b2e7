"""What became of a docker.sh: settings, commands, and a note for each line that is not the convention's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from container_pipeline.plan.adopt.script import Line


@dataclass(frozen=True)
class Note:
    """What became of the lines ``first`` to ``last``: taken over, or not and then what to do."""

    first: int
    last: int
    taken: bool
    text: str

    def __str__(self) -> str:
        place = f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"
        return f"{place:>9}  {'✓' if self.taken else '✗'} {self.text}"


@dataclass
class Adopted:
    """``values`` are keys of the project file; ``before`` are shell commands that ran before each build."""

    values: dict[str, Any] = field(default_factory=dict)
    before: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def took(self, line: Line, text: str) -> None:
        self.notes.append(Note(line.first, line.last, True, text))

    def left(self, line: Line, text: str, hint: str) -> None:
        self.notes.append(Note(line.first, line.last, False, f"{text} — {hint}"))
