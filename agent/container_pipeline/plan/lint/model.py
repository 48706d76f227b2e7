"""Lint's input, findings, repairs and silencing comments."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from container_pipeline.model import Edit as Edit
from container_pipeline.model import Finding as Finding

#: ``# container-pipeline: ignore CP101, CP204`` on the line itself or on the one before; ``//`` in a Jenkinsfile.
_SILENCER = re.compile(r"(?:#|//).*?\bcontainer-pipeline:\s*ignore\s+([A-Z]+[0-9]+(?:\s*,\s*[A-Z]+[0-9]+)*)")

#: A name that indicates a secret.
SECRET_NAME = re.compile(
    r"(?:^|[_.-]|(?<=[a-z])(?=[A-Z]))(?i:PASS|PASSWD|PASSWORD|PWD|SECRET|TOKEN|APIKEY|(?:API|ACCESS|PRIVATE|SECRET)[_.-]?KEY)$"
)
_URL_LOGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]*:([^/\s@]+)@", re.I)
_PLACEHOLDER = re.compile(
    r"<.*>|\$.*|\*+|x+|\.+|change.?me|todo|none|null|example.*|your.*|dummy|placeholder|secret|password", re.I
)


def looks_secret(name: str, value: str) -> bool:
    """Return whether ``name=value`` contains a secret that is not a placeholder."""
    value = value.strip().strip("\"'")
    login = _URL_LOGIN.search(value)
    if login:
        value = login[1]
    elif not SECRET_NAME.search(name):
        return False
    return bool(value) and not _PLACEHOLDER.fullmatch(value)


@dataclass(frozen=True)
class Source:
    """A text file of the project; ``name`` is its path from the root, ``encoding`` the encoding of its bytes.

    ``text`` is the file unchanged. ``lines`` are without a byte order mark, and without carriage returns if every line has
    one: Docker, Compose and pip ignore both.
    """

    name: str
    text: str
    encoding: str = "utf-8"

    @cached_property
    def lines(self) -> list[str]:
        return self.plain.split("\n")

    @cached_property
    def plain(self) -> str:
        return unmarked(self.text)[2]


def unmarked(text: str) -> tuple[str, str, str]:
    """Return a text's byte order mark, its line ending and the rest; mixed line endings are kept."""
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    text = text[len(mark) :]
    windows = "\r\n" in text and not re.search(r"(?<!\r)\n|\r(?!\n)", text)
    return mark, "\r\n" if windows else "\n", text.replace("\r\n", "\n") if windows else text


@dataclass(frozen=True)
class Hit:
    """A hit of one rule on one line; the runner adds rule and file."""

    line: int
    message: str
    hint: str = ""
    edit: Edit | None = None


@dataclass(frozen=True)
class Facts:
    """The input of rules. ``tracked`` are the files that git tracks, ``uploaded`` those that a deploy uploads,
    ``overridden`` each (environment, key) whose value a variable of this machine overrides.

    Of ``dockerignore``, a build reads the first. ``unsafe`` are findings (file, rule, message) whose repair would change more than the finding.
    """

    code: str = ""
    namespace: str = ""
    dockerfile: Source | None = None
    dockerignore: tuple[Source, ...] = ()
    compose: tuple[Source, ...] = ()
    env: tuple[Source, ...] = ()
    requirements: tuple[Source, ...] = ()
    jenkinsfile: Source | None = None
    uploaded: tuple[str, ...] = ()
    tracked: frozenset[str] = frozenset()
    outside: tuple[Finding, ...] = ()
    names: tuple[str, ...] = field(default=())
    project_file: Source | None = None
    overridden: tuple[tuple[str, str], ...] = ()
    unsafe: frozenset[tuple[str, str, str]] = frozenset()


@dataclass(frozen=True)
class Rule:
    """``check`` gets a parsed file of ``kind`` and the facts; ``why`` is one sentence for documents and reports."""

    id: str
    kind: str
    why: str
    check: Callable[[Any, Facts], Iterator[Hit]]


RULES: dict[str, Rule] = {}
Check = TypeVar("Check", bound=Callable[[Any, Facts], Iterator[Hit]])


def rule(identifier: str, kind: str, why: str) -> Callable[[Check], Check]:
    """Register a rule."""

    def register(check: Check) -> Check:
        RULES[identifier] = Rule(identifier, kind, why, check)
        return check

    return register


def silenced(source: Source, line: int) -> set[str]:
    """Return the rules that comments silence for ``line``."""
    found: set[str] = set()
    for number in (line - 1, line):
        if 1 <= number <= len(source.lines):
            for match in _SILENCER.finditer(source.lines[number - 1]):
                found.update(re.split(r"\s*,\s*", match[1]))
    return found


def applicable(text: str, edits: Sequence[Edit]) -> list[Edit]:
    """Return the non-overlapping ``edits``, last line first."""
    limit = unmarked(text)[2].count("\n") + 3
    chosen = []
    for edit in sorted(set(edits), key=lambda edit: (edit.first, edit.last), reverse=True):
        if max(edit.first, edit.last + 1) <= limit and edit.last < limit:
            chosen.append(edit)
            limit = edit.first
    return chosen


def apply(text: str, edits: Sequence[Edit]) -> str:
    """Return ``text`` with the non-overlapping ``edits``; the others are for the next round."""
    mark, end, plain = unmarked(text)
    lines = plain.split("\n")
    for edit in applicable(text, edits):
        lines[edit.first - 1 : edit.last] = edit.lines
        if edit.plain:
            mark, end = "", "\n"
    return mark + end.join(lines)
