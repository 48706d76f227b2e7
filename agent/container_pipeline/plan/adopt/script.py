"""A docker.sh as its parts: variables, functions and commands. It is read, never run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

_ASSIGNMENT = re.compile(r"(?:export\s+|readonly\s+|local\s+)*([A-Za-z_]\w*)=(.*)")
_FUNCTION = re.compile(r"(?:function\s+)?([\w-]+)\s*(?:\(\s*\))?\s*\{(.*)")
_LABEL = re.compile(r"\(?\s*([\w*?|\s.\"'-]+?)\s*\)\s*(.*)", re.S)


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


def read(text: str, whole: Sequence[tuple[int, int]] = ()) -> Script:
    """Read a script: top-level assignments, ``name() { … }``, and the one ``case "$1"``.

    ``whole`` are the lines of statements that another reader of shell knows to belong together.
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
    """Return what stands in a function of one line, None where it is not simple commands up to the last brace."""
    found = re.fullmatch(r"\s+(.*?)\s*;?\s*\}\s*;?", text)
    return (
        found[1]
        if found and not re.search(r"[;&|]\s*[{(]|^[{(]|;;|\}\s*;|\b(?:if|for|while|until|case)\b", found[1])
        else None
    )


def _split(text: str) -> list[str]:
    """Return simple commands of one line, each by itself."""
    parts, quote = [""], ""
    for char in text:
        quote = "" if char == quote else quote or (char if char in "\"'`" else "")
        if char == ";" and not quote:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts]


def _statements(text: str) -> Iterator[Line]:
    """Each statement, with comments and blank lines left out.

    Lines are one statement where the first ends in a backslash, or where quotes, ``$(…)``, a group in braces or brackets, or a
    here-document goes on. Those of ``if``, loops, ``case`` and functions stay single.
    """
    lines = text.replace("\r", "").split("\n")
    number = 0
    while number < len(lines):
        # ``shape`` is the statement without what its here-documents hold.
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
    """Return the statements with each of ``whole`` as one: it stays a text of several lines, which is named and not taken."""
    raw = text.replace("\r", "").split("\n")
    for first, last in whole:
        inside = [line for line in lines if line.first <= last and line.last >= first]
        if [(line.first, line.last) for line in inside] != [(first, last)] and first < last:
            first, last = min(first, *(line.first for line in inside)), max(last, *(line.last for line in inside))
            one = Line("\n".join(raw[first - 1 : last]).strip(), first, last)
            lines = sorted([line for line in lines if line not in inside] + [one], key=lambda line: line.first)
    return lines


#: Lines that one statement may have; a quote that nothing closes would take the rest of the script.
_MOST = 300
#: The head of a function whose brace stands on the next line.
_HEADLESS = re.compile(r"(?:function\s+[\w-]+(?:\s*\(\s*\))?|[\w-]+\s*\(\s*\))\s*")
_DOCUMENT = re.compile(r"(?<!<)<<(?!<)(-?)\s*(?:'([^'\n]+)'|\"([^\"\n]+)\"|\\?([A-Za-z_][\w.-]*))")
#: What is no syntax of its own: escapes, quotes, variables, comments.
_PLAIN = re.compile(
    r"""\\. | '[^']*' | "(?:\\.|[^"\\])*" | `(?:\\.|[^`\\])*` | \$'(?:\\.|[^'\\])*' | \$\{(?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|\{[^{}]*\}|[^{}"'\\])*\} | \$\# | (?<![^\s;&|()])\#[^\n]*""",
    re.X | re.S,
)


def _complete(text: str) -> bool:
    """Return whether a statement ends here: no quote, bracket or group in braces is open, but for a function's own."""
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
    """Return the number of the line behind the here-documents that ``line`` begins."""
    bare = re.sub(r"\(\([^)]*\)\)", "", line)
    bare = re.sub(r"""(?<![<-])(?<!<\s)(?:'[^']*'|"(?:\\.|[^"\\])*")|(?<!\S)\#.*""", "", bare)
    for dash, *words in _DOCUMENT.findall(bare):
        word = "".join(words)
        for end in range(number, len(lines)):
            if (lines[end].lstrip("\t") if dash else lines[end]) == word:
                number = end + 1
                break
    return number


#: A compound statement of the shell begins; the last one that began ends.
OPENS = re.compile(r"(?:if|for|while|until|case|select)\b")
CLOSES = re.compile(r"(?:^|[;\s])(?:fi|done|esac)\b(?:\s*(?:$|[<>|;&].*))")


def moves(text: str) -> int:
    """Return 1 where a statement's line opens a compound that goes on, -1 where it closes one, else 0."""
    if _FUNCTION.fullmatch(text):  # whole on one line, with all that it opens
        return 0
    return bool(OPENS.match(text)) - bool(CLOSES.search(text))


def _until(lines: list[Line], number: int, end: str) -> tuple[list[Line], int]:
    """Return the statements up to ``end`` at the same depth, and where to go on; "" ends where the compound does."""
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
    """Take each label of a ``case`` with its statements, of ``a | b)`` both; what is no label goes to the rest."""
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
    """Return ``text`` with the variables that are known put in; the others stay."""

    def put(found: re.Match[str]) -> str:
        name, default = found[1] or found[3], found[2]
        known = values.get(name)
        return known if known is not None else default if default is not None else found[0]

    return re.sub(r"\$\{(\w+)(?::?-([^}$]*))?\}|\$(\w+)", put, text)
