"""Every message has its translation, and every translation its message."""

from __future__ import annotations

import ast
import contextlib
import functools
import json
import re
from pathlib import Path
from string import Formatter

from container_pipeline import i18n
from unit.table import table

PACKAGE = Path(i18n.__file__).parent


@functools.cache
def calls() -> list[tuple[str, set[str]]]:
    """Return the text of every ``_("…")`` call in the package, and the names of the values that it is given."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for start in re.finditer(r"(?<![\w.])(?<!def )_\(", text):
            # To parse whole files takes five times as long.
            call = _expression(text, start.start())
            if not isinstance(call, ast.Call):  # in a regular expression
                continue
            assert isinstance(call.args[0], ast.Constant), f"{path.name}: not a constant text: {ast.unparse(call)}"
            found.append((call.args[0].value, {str(keyword.arg) for keyword in call.keywords}))
    return found


def _expression(text: str, start: int) -> ast.expr | None:
    """Return the shortest expression at ``start`` that ends with a parenthesis."""
    for end in re.finditer(r"\)", text[start : start + 3000]):
        with contextlib.suppress(SyntaxError):
            return ast.parse(text[start : start + end.end()], mode="eval").body
    return None


def messages() -> set[str]:
    return {text for text, _names in calls()}


def test_messages_and_translations_match_exactly():
    assert messages() == set(i18n.catalogue("zh"))


def test_messages_use_exactly_the_values_they_receive():
    for text, given in calls():
        for written in (text, i18n.catalogue("zh")[text]):
            # Without values nothing is filled in, and braces stand for themselves.
            named = (
                {name for _text, name, _form, _kind in Formatter().parse(written) if name is not None}
                if given
                else set()
            )
            assert named == given, written


def test_no_message_is_translated_in_two_areas():
    seen: dict[str, str] = {}
    for area in i18n.AREAS:
        for text in json.loads((PACKAGE / f"locale/zh/{area}.json").read_text(encoding="utf-8")):
            assert text not in seen, f"{text!r} stands in {seen.get(text)} and in {area}"
            seen[text] = area


def test_a_translation_names_the_same_values():
    names = re.compile(r"\{(\w*)")
    texts = i18n.catalogue("zh").items()
    assert [text for text, zh in texts if sorted(names.findall(text)) != sorted(names.findall(zh))] == []


@table(
    ("environment", "expected"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"LC_ALL": "", "LANG": "zh_CN.UTF-8"}, "zh"),
        ({}, "en"),
    ],
)
def test_the_first_nonempty_language_variable_wins(monkeypatch, environment, expected):
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert i18n.language() == expected
