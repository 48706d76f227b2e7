"""A Dockerfile as instructions, each with its lines.

Format: docs.docker.com/reference/dockerfile (comments, line continuation, directives, here-documents), read as BuildKit's parser reads it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from container_pipeline.outside import read_json
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
_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+?)\s*$")
#: One word of a line, with quotes and escapes.
_WORD = re.compile(r"(?:\\.|'[^']*'|\"(?:\\.|[^\"\\])*\"|[^\s'\"\\])+")
_HEREDOC = re.compile(r"\d*<<(-?)([^<]+)")
#: A RUN whose here-document is a shell script, not data for another program.
_SCRIPT = re.compile(r"(?:(?:/\S*/)?(?:ba|da|a|k|z)?sh(?:\s+-\S+)*\s+)?<<")


@dataclass(frozen=True)
class Instruction:
    """One instruction; ``text`` is everything after the keyword and its flags, ``stage`` counts FROM (0 before the first).

    ``body`` has the lines of here-documents; ``unended`` is the delimiter of one that never ends.
    """

    keyword: str
    flags: tuple[str, ...]
    text: str
    first: int
    last: int
    stage: int
    body: str = ""
    unended: str = ""

    @property
    def words(self) -> list[str]:
        """The arguments: the items of a JSON array, else the words as a shell splits them."""
        array = self.array
        if array is not None:
            return array
        try:
            return shlex.split(self.text)
        except ValueError:
            return self.text.split()

    @property
    def array(self) -> list[str] | None:
        """The items if the arguments are a JSON array of strings (exec form), else None."""
        try:
            loaded = read_json(self.text, list)
        except ValueError:
            return None
        return loaded if all(isinstance(item, str) for item in loaded) else None

    @property
    def copies_project(self) -> bool:
        """Whether it copies the whole build context."""
        own = not any(flag.startswith("--from") for flag in self.flags)
        return self.keyword in ("COPY", "ADD") and own and self.words[:1] in (["."], ["./"])

    @property
    def cache_mounted(self) -> bool:
        return any(flag.startswith("--mount=type=cache") for flag in self.flags)

    @property
    def script(self) -> str:
        """What the shell runs: the text, and a here-document that is a shell script."""
        program = self.body if _SCRIPT.match(self.text) and not re.match(r"#!(?!.*sh\b)", self.body) else ""
        return f"{self.text}\n{program}" if program else self.text

    @property
    def commands(self) -> list[list[str]]:
        """Yield each simple command of a RUN as words."""
        if self.array is not None:
            return [self.array]
        lines = [line for line in self.script.split("\n") if not line.lstrip().startswith("#")]
        return [part.split() for part in re.split(r"&&|\|\||[;|\n]", "\n".join(lines)) if part.strip()]


class Dockerfile:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.instructions = list(_instructions(source))

    def all(self, *keywords: str) -> Iterator[Instruction]:
        return (one for one in self.instructions if one.keyword in keywords)

    @property
    def final(self) -> list[Instruction]:
        """The instructions of the last stage, which makes the image."""
        stage = max((one.stage for one in self.instructions), default=0)
        return [one for one in self.instructions if one.stage == stage]

    @property
    def image(self) -> list[Instruction]:
        """The instructions that make the image: those of the last stage, after those of the stages that it begins from."""
        bases = list(self.all("FROM"))
        names = {words[2].lower(): number for number, one in enumerate(bases, 1) if len(words := one.text.split()) == 3}
        stages = [len(bases)]
        while stages[0]:
            words = bases[stages[0] - 1].text.split()
            base = names.get(words[0].lower(), 0) if words else 0
            if not base or base >= stages[0]:
                break
            stages.insert(0, base)
        return [one for stage in stages for one in self.instructions if one.stage == stage]


def _escape(lines: list[str]) -> str:
    """Return the line continuation character, which a directive at the top of the file can change."""
    for line in lines:
        directive = _DIRECTIVE.match(line.strip())
        if not directive or directive[1].lower() not in ("syntax", "escape", "check"):
            break
        if directive[1].lower() == "escape" and directive[2] in ("`", "\\"):
            return directive[2]
    return "\\"


def _instructions(source: Source) -> Iterator[Instruction]:
    lines = source.lines
    escape = re.escape(_escape(lines))
    continued = re.compile(rf"(?:^|(?<!{escape})){escape}[ \t]*$")
    number, stage = 0, 0
    while number < len(lines):
        first, text = 0, ""
        while number < len(lines):
            line = lines[number].rstrip("\r")
            number += 1
            if line.lstrip().startswith("#") or not line.strip():
                if first:
                    continue
                break
            first = first or number
            more = continued.search(line)
            text += line[: more.start()] if more else line
            if not more:
                break
        if not text.strip():
            continue
        word, rest = (*re.split(r"[ \t\v\f\r]+", text.strip(), maxsplit=1), "")[:2]
        keyword = word.upper()
        stage += keyword == "FROM"
        flags, arguments = _flags(rest)
        body, unended, number = _heredocs(lines, number, keyword, arguments)
        yield Instruction(keyword, flags, arguments, first, number, stage, body, unended)


def _heredocs(lines: list[str], number: int, keyword: str, text: str) -> tuple[str, str, int]:
    """Return the here-documents after line ``number``, the delimiter of one that never ends, and the last line."""
    if keyword == "ONBUILD":
        keyword, _blank, text = text.partition(" ")
    if keyword.upper() not in ("RUN", "COPY", "ADD") or "<<" not in text or text.startswith("["):
        return "", "", number
    body: list[str] = []
    for strips_tabs, word in _heredoc_words(text):
        while number < len(lines):
            line = lines[number].rstrip("\r")
            number += 1
            if (line.lstrip("\t") if strips_tabs else line) == word:
                break
            body.append(line)
        else:
            return "\n".join(body), word, number
    return "\n".join(body), "", number


def _heredoc_words(text: str) -> Iterator[tuple[bool, str]]:
    """Yield (whether leading tabs are stripped, delimiter) of each here-document."""
    if re.search("[\"']", _WORD.sub("", text)):
        return  # an unclosed quote: BuildKit reads no words
    for word in _WORD.findall(text):
        found = _HEREDOC.fullmatch(word)
        if found:
            try:
                (name,) = shlex.split(found[2])
            except ValueError:
                continue
            yield found[1] == "-", name


def _flags(text: str) -> tuple[tuple[str, ...], str]:
    text = text.strip()
    flags: list[str] = []
    while True:
        found = re.match(r"(--[a-z][\w-]*(?:=\S+)?)\s+", text)
        if not found:
            return tuple(flags), text
        flags.append(found[1])
        text = text[found.end() :]
