"""A Dockerfile as instructions, each with the lines it stands on.

Format: docs.docker.com/reference/dockerfile (comments, line continuation, ``escape`` directive, here-documents).
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from container_pipeline.plan.lint.model import Source

KEYWORDS = frozenset(
    [
        "ADD",
        "ARG",
        "CMD",
        "COPY",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "FROM",
        "HEALTHCHECK",
        "LABEL",
        "MAINTAINER",
        "ONBUILD",
        "RUN",
        "SHELL",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
        "WORKDIR",
    ]
)
_HEREDOC = re.compile(r"<<-?\s*([\"']?)(\w+)\1")


@dataclass(frozen=True)
class Instruction:
    """One instruction; ``text`` is all after the keyword and its flags, ``stage`` counts FROM (0 before the first)."""

    keyword: str
    flags: tuple[str, ...]
    text: str
    first: int
    last: int
    stage: int

    @property
    def words(self) -> list[str]:
        """The arguments: of a JSON array its items, else the words as a shell splits them."""
        array = self.array
        if array is not None:
            return array
        try:
            return shlex.split(self.text)
        except ValueError:
            return self.text.split()

    @property
    def array(self) -> list[str] | None:
        """The items where the arguments are a JSON array of texts (exec form), else None."""
        try:
            loaded = json.loads(self.text)
        except ValueError:
            return None
        return loaded if isinstance(loaded, list) and all(isinstance(item, str) for item in loaded) else None

    @property
    def copies_project(self) -> bool:
        """Whether it copies the whole build context."""
        own = not any(flag.startswith("--from") for flag in self.flags)
        return self.keyword in ("COPY", "ADD") and own and self.words[:1] in (["."], ["./"])

    @property
    def cache_mounted(self) -> bool:
        return any(flag.startswith("--mount=type=cache") for flag in self.flags)

    @property
    def commands(self) -> list[list[str]]:
        """Each simple command of a RUN as words."""
        if self.array is not None:
            return [self.array]
        return [part.split() for part in re.split(r"&&|\|\||[;|\n]", self.text) if part.strip()]


class Dockerfile:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.instructions = list(_instructions(source))

    def all(self, *keywords: str) -> Iterator[Instruction]:
        return (one for one in self.instructions if one.keyword in keywords)

    @property
    def final(self) -> list[Instruction]:
        """The instructions of the last stage: the image's own."""
        stage = max((one.stage for one in self.instructions), default=0)
        return [one for one in self.instructions if one.stage == stage]


def _instructions(source: Source) -> Iterator[Instruction]:
    lines = source.lines
    escape = "`" if re.match(r"#\s*escape\s*=\s*`", lines[0], re.I) else "\\"
    number, stage = 0, 0
    while number < len(lines):
        first, text = number + 1, ""
        while number < len(lines):
            line = lines[number].strip()
            number += 1
            if line.startswith("#") or (text and not line):
                continue
            if not line.endswith(escape):
                text += line
                break
            text += line[:-1] + " "
        if not text.strip():
            continue
        while first < number and (lines[first - 1].strip().startswith("#") or not lines[first - 1].strip()):
            first += 1
        word, _blank, rest = text.strip().replace("\t", " ").partition(" ")
        keyword = word.upper()
        stage += keyword == "FROM"
        body, number = _heredoc(lines, number, rest) if keyword in ("RUN", "COPY", "ADD") else ("", number)
        flags, arguments = _flags(rest.strip())
        yield Instruction(keyword, flags, arguments + body, first, number, stage)


def _heredoc(lines: list[str], number: int, text: str) -> tuple[str, int]:
    """Return the here-document that begins after line ``number``, "" where there is none, and the line it ends on."""
    found = _HEREDOC.search(text)
    if not found:
        return "", number
    for end in range(number, len(lines)):
        if lines[end].strip() == found[2]:
            return "\n" + "\n".join(lines[number:end]), end + 1
    return "", number


def _flags(text: str) -> tuple[tuple[str, ...], str]:
    flags: list[str] = []
    while True:
        found = re.match(r"(--[a-z][\w-]*(?:=\S+)?)\s+", text)
        if not found:
            return tuple(flags), text
        flags.append(found[1])
        text = text[found.end() :]
