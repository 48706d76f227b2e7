"""What became of a docker.sh: settings, commands, and a note for each line that is not the convention's."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from container_pipeline.plan.adopt.script import Line
from container_pipeline.plan.lint.model import looks_secret


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
        self.notes.append(Note(line.first, line.last, True, masked(text)))

    def left(self, line: Line, text: str, hint: str) -> None:
        self.notes.append(Note(line.first, line.last, False, f"{masked(text)} — {hint}"))


def masked(text: str) -> str:
    """Return a statement without the secrets that it holds: values by their names, and the password of a login."""
    plain = re.sub(r"\b(\w+)=(\S+)", lambda one: f"{one[1]}=***" if looks_secret(one[1], one[2]) else one[0], text)
    if "login" not in plain:
        return plain
    return re.sub(r"(\s(?:-p|--password)[\s=]+)[^\s$]\S*", r"\1***", plain)
