"""Finds comments and strings in a Jenkinsfile's text, as Groovy reads them.

Format: groovy-lang.org/syntax.html (comments, and the six forms of strings).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

#: A slashy string begins where a value is expected; elsewhere, a slash divides.
_PARTS = re.compile(
    r"""
    (?P<comment> //[^\n]* | /\*.*?(?:\*/|\Z) | \A\#![^\n]* )
  | (?P<triple> \"{3}(?:\\.|[^\\])*?\"{3} | '{3}(?:\\.|[^\\])*?'{3} )
  | (?P<double> "(?:\\.|\$\{(?:[^{}"'\n]|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')*\}|[^"\\\n])*" )
  | (?P<single> '(?:\\.|[^'\\\n])*' )
  | (?P<dollar> \$/.*?/\$ )
  | (?P<slashy> (?<=[(,=\[!&|?{};:~])[ \t]*/(?![/*\s])(?:\\/|[^/\n])+/ )
    """,
    re.S | re.X,
)


@dataclass(frozen=True)
class Text:
    """A string: its start and end, with quotes, and its form: triple, double, single, dollar or slashy."""

    start: int
    end: int
    form: str


def parts(text: str) -> Iterator[tuple[str, int, int]]:
    """Each comment and string as (form, start, end)."""
    for found in _PARTS.finditer(text):
        yield str(found.lastgroup), found.start(), found.end()


def without_comments(text: str) -> str:
    """Return ``text`` with comments replaced by blanks, so that positions and lines are kept."""
    changed = list(text)
    for form, start, end in parts(text):
        if form == "comment":
            changed[start:end] = re.sub(r"[^\n]", " ", text[start:end])
    return "".join(changed)


def strings(text: str) -> list[Text]:
    return [Text(start, end, form) for form, start, end in parts(text) if form != "comment"]
