"""A docker.sh as its parts: variables, functions and commands. It is read, never run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_ASSIGNMENT = re.compile(r"(?:export\s+|readonly\s+|local\s+)*([A-Za-z_]\w*)=(.*)")
_FUNCTION = re.compile(r"(?:function\s+)?([\w-]+)\s*(?:\(\s*\))?\s*\{(.*)")
_LABEL = re.compile(r"\(?\s*([\w*?|\s.-]+?)\s*\)\s*(.*)")


@dataclass(frozen=True)
class Line:
    """One statement with the first and last line that it stands on."""

    text: str
    first: int
    last: int


@dataclass
class Script:
    """``functions`` and ``commands`` hold their statements; ``variables`` what is set once and plainly outside of them."""

    variables: dict[str, Line] = field(default_factory=dict)
    functions: dict[str, list[Line]] = field(default_factory=dict)
    heads: dict[str, int] = field(default_factory=dict)
    commands: dict[str, list[Line]] = field(default_factory=dict)
    rest: list[Line] = field(default_factory=list)

    def value(self, name: str) -> str:
        """Return a variable's text without its quotes, "" where it is not set."""
        found = self.variables.get(name)
        return unquote(found.text) if found else ""


def unquote(text: str) -> str:
    text = re.sub(r"\s+#.*$", "", text).strip().rstrip(";").strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def assigned(line: Line) -> str:
    """Return the variable that a statement sets and does nothing else, "" where it is another."""
    found = _ASSIGNMENT.fullmatch(line.text)
    alone = found and re.fullmatch(r"""(?:"[^"]*"|'[^']*'|\$\([^()]*\)|`[^`]*`|[^\s;|&])*;?""", found[2])
    return found[1] if found and alone else ""


def read(text: str) -> Script:
    """Read a script: top-level assignments, ``name() { … }``, and the one ``case "$1"``."""
    script = Script()
    lines = list(_statements(text))
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        head = _FUNCTION.fullmatch(line.text)
        if head:
            script.heads[head[1]] = line.first
            body, number = _until(lines, number, "}")
            script.functions[head[1]] = body
        elif re.match(r"case\s+[\"']?\$\{?1\b", line.text):
            body, number = _until(lines, number, "esac")
            script.commands.update(_commands(body))
        elif re.match(r"if\s", line.text):
            body, number = _until(lines, number, "fi")
            script.rest += [line, *body]
        else:
            assigned = _ASSIGNMENT.fullmatch(line.text)
            if assigned:
                script.variables[assigned[1]] = Line(assigned[2], line.first, line.last)
            else:
                script.rest.append(line)
    return script


def _statements(text: str) -> Iterator[Line]:
    """Each statement: comments and blank lines left out, lines that end in a backslash joined."""
    first, joined = 0, ""
    for number, raw in enumerate(text.replace("\r", "").split("\n"), 1):
        line = raw.strip()
        if not joined and (not line or line.startswith("#")):
            continue
        first = first or number
        joined += line
        if joined.endswith("\\"):
            joined = joined[:-1].rstrip() + " "
            continue
        if joined.strip():
            yield Line(joined.strip(), first, number)
        first, joined = 0, ""


def _until(lines: list[Line], number: int, end: str) -> tuple[list[Line], int]:
    """Return the statements up to ``end`` at the same depth, and where to go on."""
    opening = {"}": r"\{\s*$", "fi": r"if\s", "esac": r"case\s"}[end]
    body: list[Line] = []
    depth = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if line.text == end or (end == "}" and line.text.startswith("} ")):
            if depth == 0:
                break
            depth -= 1
        elif re.match(opening, line.text) and end != "}":
            depth += 1
        body.append(line)
    return body, number


def _commands(body: list[Line]) -> dict[str, list[Line]]:
    """Return each label of a ``case`` with its statements; of ``a | b)`` both."""
    found: dict[str, list[Line]] = {}
    current: list[Line] | None = None
    for line in body:
        text = line.text
        if current is None:
            label = _LABEL.fullmatch(text)
            if not label:
                continue
            current, text = [], label[2]
            found.update({name.strip(): current for name in label[1].split("|")})
        ended = text.endswith(";;")
        text = text[:-2].strip() if ended else text
        if text:
            current.append(Line(text, line.first, line.last))
        if ended:
            current = None
    return found


def expand(text: str, values: Mapping[str, str]) -> str:
    """Return ``text`` with the variables that are known put in; the others stay."""

    def put(found: re.Match[str]) -> str:
        name, default = found[1] or found[3], found[2]
        known = values.get(name)
        return known if known is not None else default if default is not None else found[0]

    return re.sub(r"\$\{(\w+)(?::?-([^}$]*))?\}|\$(\w+)", put, text)
