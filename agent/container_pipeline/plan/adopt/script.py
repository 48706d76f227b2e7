"""Splits a docker.sh into variables, functions and commands. The script is never executed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

_ASSIGNMENT = re.compile(r"(?:export\s+|readonly\s+|local\s+)*([A-Za-z_]\w*)=(.*)")
_FUNCTION = re.compile(r"(?:function\s+)?([\w-]+)\s*(?:\(\s*\))?\s*\{(.*)")
_LABEL = re.compile(r"\(?\s*([\w*?|\s.\"'-]+?)\s*\)\s*(.*)", re.S)


@dataclass(frozen=True)
class Line:
    """One statement with its first and last line."""

    text: str
    first: int
    last: int


@dataclass
class Script:
    """``functions`` and ``commands`` have their statements; ``variables`` are plain top-level assignments that occur once."""

    variables: dict[str, Line] = field(default_factory=dict)
    functions: dict[str, list[Line]] = field(default_factory=dict)
    heads: dict[str, int] = field(default_factory=dict)
    commands: dict[str, list[Line]] = field(default_factory=dict)
    rest: list[Line] = field(default_factory=list)

    def value(self, name: str) -> str:
        """Return a variable's text without quotes, "" if it is not set."""
        found = self.variables.get(name)
        return unquote(found.text) if found else ""


def unquote(text: str) -> str:
    text = re.sub(r"\s+#.*$", "", text).strip().rstrip(";").strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def assigned(line: Line) -> str:
    """Return the variable of a plain assignment, "" for another statement."""
    found = _ASSIGNMENT.fullmatch(line.text)
    alone = found and re.fullmatch(r"""(?:"[^"]*"|'[^']*'|\$\([^()]*\)|`[^`]*`|[^\s;|&])*;?""", found[2])
    return found[1] if found and alone else ""


def read(text: str, whole: Sequence[tuple[int, int]] = ()) -> Script:
    """Read a script: top-level assignments, ``name() { … }``, and the one ``case "$1"``.

    ``whole`` are the first and last lines of statements from another parser of shell.
    """
    script = Script()
    lines = _joined(list(_statements(text)), text, whole)
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        head = _FUNCTION.fullmatch(line.text)
        if head and not head[2].strip():
            script.heads[head[1]] = line.first
            body, number = _until(lines, number, "}")
            script.functions[head[1]] = body
        elif head and _inner(head[2]) is not None:
            script.heads[head[1]] = line.first
            script.functions[head[1]] = [
                Line(part, line.first, line.last) for part in _split(str(_inner(head[2]))) if part
            ]
        elif re.match(r"case\s+[\"']?\$(?:1\b|\{1(?::?-[^}]*)?\})", line.text) and not CLOSES.search(line.text):
            body, number = _until(lines, number, "esac")
            _commands(script, body)
        elif OPENS.match(line.text) and not CLOSES.search(line.text):
            body, number = _until(lines, number, "")
            script.rest += [line, *body]
        else:
            assigned = _ASSIGNMENT.fullmatch(line.text)
            if assigned:
                script.variables[assigned[1]] = Line(assigned[2], line.first, line.last)
            else:
                script.rest.append(line)
    return script


def _inner(text: str) -> str | None:
    """Return the statements of a one-line function, None if its body is more than simple commands."""
    found = re.fullmatch(r"\s+(.*?)\s*;?\s*\}\s*;?", text)
    return (
        found[1]
        if found and not re.search(r"[;&|]\s*[{(]|^[{(]|;;|\}\s*;|\b(?:if|for|while|until|case)\b", found[1])
        else None
    )


def _split(text: str) -> list[str]:
    """Return the simple commands of one line separately."""
    parts, quote = [""], ""
    for char in text:
        quote = "" if char == quote else quote or (char if char in "\"'`" else "")
        if char == ";" and not quote:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts]


def _statements(text: str) -> Iterator[Line]:
    """Yield each statement, without comments and blank lines.

    Lines form one statement after a backslash, and inside of quotes, ``$(…)``, groups in braces or brackets and
    here-documents. Lines of ``if``, loops, ``case`` and functions stay separate.
    """
    lines = text.replace("\r", "").split("\n")
    number = 0
    while number < len(lines):
        # ``shape`` is the statement without the content of its here-documents.
        first, joined, shape, continued = number + 1, "", "", True
        while number < len(lines) and number - first < _MOST:
            line = lines[number].strip() if continued else lines[number]
            number += 1
            if not joined and line.startswith("#"):
                break
            continued = bool(re.search(r"(?<!\\)(?:\\\\)*\\$", line))
            if continued:
                joined += line[:-1].rstrip() + " "
                shape += line[:-1].rstrip() + " "
                continue
            behind = _behind_documents(lines, number, line)
            joined += "\n".join([line, *lines[number:behind]])
            shape += line
            number = behind
            if _complete(shape):
                break
            continued = bool(_HEADLESS.fullmatch(shape))
            joined += " " if continued else "\n"
            shape += " " if continued else "\n"
        if joined.strip():
            yield Line(joined.strip(), first, number)


def _joined(lines: list[Line], text: str, whole: Sequence[tuple[int, int]]) -> list[Line]:
    """Return the statements with each of ``whole`` as one; such a multi-line statement is reported, not converted."""
    raw = text.replace("\r", "").split("\n")
    for first, last in whole:
        inside = [line for line in lines if line.first <= last and line.last >= first]
        if [(line.first, line.last) for line in inside] != [(first, last)] and first < last:
            first, last = min(first, *(line.first for line in inside)), max(last, *(line.last for line in inside))
            one = Line("\n".join(raw[first - 1 : last]).strip(), first, last)
            lines = sorted([line for line in lines if line not in inside] + [one], key=lambda line: line.first)
    return lines


#: Most lines of one statement; an unclosed quote would take the rest of the script.
_MOST = 300
#: The head of a function whose brace is on the next line.
_HEADLESS = re.compile(r"(?:function\s+[\w-]+(?:\s*\(\s*\))?|[\w-]+\s*\(\s*\))\s*")
_DOCUMENT = re.compile(r"(?<!<)<<(?!<)(-?)\s*(?:'([^'\n]+)'|\"([^\"\n]+)\"|\\?([A-Za-z_][\w.-]*))")
#: Text without syntax: escapes, quotes, variables, comments.
_PLAIN = re.compile(
    r"""\\. | '[^']*' | "(?:\\.|[^"\\])*" | `(?:\\.|[^`\\])*` | \$'(?:\\.|[^'\\])*' | \$\{(?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|\{[^{}]*\}|[^{}"'\\])*\} | \$\# | (?<![^\s;&|()])\#[^\n]*""",
    re.X | re.S,
)


def _complete(text: str) -> bool:
    """Return whether a statement ends here: no quote, bracket or group is open, except for a function's brace."""
    if _HEADLESS.fullmatch(text):
        return False
    bare = _PLAIN.sub("_", text)
    if re.search(r"""["'`]""", bare):
        return False
    label = _LABEL.fullmatch(bare)
    if label and "(" not in bare.partition(")")[0]:
        bare = label[2]
    open_brackets = bare.count("(") - bare.count(")")
    opened = len(re.findall(r"(?:^|(?<=[\s;&|()]))\{(?=\s|$)", bare))
    closed = len(re.findall(r"(?:^|(?<=[\s;]))\}(?=[\s;&|)<>]|$)", bare))
    head = _FUNCTION.fullmatch(bare)
    if head and not head[2].strip():
        return True
    return open_brackets <= 0 and opened <= closed and not re.search(r"(?:&&|\|)\s*$", bare)


def _behind_documents(lines: list[str], number: int, line: str) -> int:
    """Return the line number after the here-documents of ``line``."""
    bare = re.sub(r"\(\([^)]*\)\)", "", line)
    bare = re.sub(r"""(?<![<-])(?<!<\s)(?:'[^']*'|"(?:\\.|[^"\\])*")|(?<!\S)\#.*""", "", bare)
    for dash, *words in _DOCUMENT.findall(bare):
        word = "".join(words)
        for end in range(number, len(lines)):
            if (lines[end].lstrip("\t") if dash else lines[end]) == word:
                number = end + 1
                break
    return number


#: Words that begin a compound statement of the shell, and words that end one.
OPENS = re.compile(r"(?:if|for|while|until|case|select)\b")
CLOSES = re.compile(r"(?:^|[;\s])(?:fi|done|esac)\b(?:\s*(?:$|[<>|;&].*))")


def moves(text: str) -> int:
    """Return 1 if a line opens a compound statement that continues, -1 if it closes one, else 0."""
    if _FUNCTION.fullmatch(text):  # complete on one line, with everything that it opens
        return 0
    return bool(OPENS.match(text)) - bool(CLOSES.search(text))


def _until(lines: list[Line], number: int, end: str) -> tuple[list[Line], int]:
    """Return the statements up to ``end`` at the same depth, and the next index; "" stops at the end of the compound."""
    body: list[Line] = []
    depth = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        head = _FUNCTION.fullmatch(line.text)
        if head and not head[2].strip():
            inner, number = _until(lines, number, "}")
            last = lines[number - 1].last
            body.append(Line("\n".join([line.text, *(one.text for one in inner), "}"]), line.first, last))
            continue
        if end == "}" and depth == 0 and re.match(r"\}(?:\s|;|$)", line.text):
            break
        if moves(line.text) < 0:
            if depth == 0 and end != "}":
                if not end:
                    body.append(line)
                break
            depth = max(0, depth - 1)
        elif moves(line.text) > 0:
            depth += 1
        body.append(line)
    return body, number


def _commands(script: Script, body: list[Line]) -> None:
    """Read each label of a ``case`` with its statements, for ``a | b)`` both; other lines go to the rest."""
    current: list[Line] | None = None
    depth = 0
    for line in body:
        text = line.text
        if current is None:
            label = _LABEL.fullmatch(text)
            if not label:
                script.rest.append(line)
                continue
            current, text = [], label[2]
            script.commands.update({name.strip().strip("\"'"): current for name in label[1].split("|")})
        depth += moves(text)
        ended = depth == 0 and re.search(r";;&?$|;&$", text)
        text = text[: ended.start()].strip() if ended else text
        if text:
            current.append(Line(text, line.first, line.last))
        if ended:
            current = None


def expand(text: str, values: Mapping[str, str]) -> str:
    """Return ``text`` with known variables filled in; the others are kept."""

    def put(found: re.Match[str]) -> str:
        name, default = found[1] or found[3], found[2]
        known = values.get(name)
        return known if known is not None else default if default is not None else found[0]

    def items(found: re.Match[str]) -> str:
        known = values.get(found[2], "")
        return known[1:-1] if re.fullmatch(r"\(.*\)", known) else found[0]

    text = re.sub(r"""("?)\$\{(\w+)\[@\]\}\1""", items, text)
    return re.sub(r"\$\{(\w+)(?::?-([^}$]*))?\}|\$(\w+)", put, text)
