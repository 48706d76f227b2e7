"""The result of adopt: settings, commands, and a note for each line that deviates from the convention."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from container_pipeline.i18n import _
from container_pipeline.plan.adopt.script import Line
from container_pipeline.plan.lint.model import looks_secret

#: One word of a shell, unparsed.
_WORD = r"""((?:"[^"]*"|'[^']*'|[^\s;|&"'])+)"""
#: ``https://NAME:PASSWORD@``, or with a token instead of the name.
_ADDRESS = re.compile(r"(://(?:[^/\s:@]*:(?!\$)|(?=[^/\s:@$]{16})))[^/\s]+@")
#: ``-u NAME:PASSWORD`` of curl and others, but not two numbers, which are user and group.
_LOGIN = re.compile(r"""((?<!\S)(?:-u\s*|--user[\s=]+))(["']?[^\s:"']+):(?!\d+\b)([^"']*(?=["'])|\S+)""")
_NAMED = (re.compile(rf"\b(\w+)(=){_WORD}"), re.compile(r"(\w+)(:?-)([^}]+)(?=\})"))
_BEFORE = (
    re.compile(rf"((?<!\S)--[\w-]*(?:pass(?:word|wd|phrase)?|token|-secret|api-?key)[\s=]+){_WORD}"),
    re.compile(rf"(\b(?:sshpass|mysql\w*|mariadb[\w-]*|mongo\w*|login)\s(?:[^|;&]*?\s)?-p\s*){_WORD}"),
    re.compile(rf"((?i:\bauthorization:\s*(?:basic|bearer|token)\s|[\w-]*(?:token|api-key):)\s*){_WORD}"),
)


@dataclass(frozen=True)
class Note:
    """The note for lines ``first`` to ``last``: converted, or what to do instead."""

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
        shown, more, _rest = masked(text).partition("\n")
        self.notes.append(Note(line.first, line.last, False, f"{shown}{' …' if more else ''} — {hint}"))

    def left_unknown(self, line: Line, text: str) -> None:
        """Leave a text whose value a shell computes."""
        self.left(line, text, _("its value is known only when the script runs"))


def masked(text: str) -> str:
    """Return a statement with its secrets masked, or unchanged if it has none."""
    text = _ADDRESS.sub(r"\1***@", text)
    text = _LOGIN.sub(lambda one: one[0] if one[3].strip("\"'")[:1] == "$" else f"{one[1]}{one[2]}:***", text)
    for named in _NAMED:
        text = named.sub(lambda one: f"{one[1]}{one[2]}***" if looks_secret(one[1], one[3]) else one[0], text)
    for before in _BEFORE:
        text = before.sub(lambda one: one[0] if one[2].strip("\"'")[:1] in "$*" else f"{one[1]}***", text)
    return text
