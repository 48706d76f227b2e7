"""Every message has its translation, and every translation its message."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from container_pipeline import i18n

PACKAGE = Path(i18n.__file__).parent


def messages() -> set[str]:
    """Return the text of every ``_("…")`` call in the package."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_":
                assert isinstance(node.args[0], ast.Constant), f"{path.name}:{node.lineno}: not a constant text"
                found.add(node.args[0].value)
    return found


def test_every_message_is_translated_and_no_translation_is_left_over():
    assert messages() == set(i18n.catalogue("zh"))


def test_no_message_is_translated_in_two_areas():
    seen: dict[str, str] = {}
    for area in i18n.AREAS:
        for text in json.loads((PACKAGE / f"locale/zh/{area}.json").read_text(encoding="utf-8")):
            assert text not in seen, f"{text!r} stands in {seen.get(text)} and in {area}"
            seen[text] = area


@pytest.mark.parametrize("text", sorted(i18n.catalogue("zh")))
def test_a_translation_names_the_same_values(text):
    names = re.compile(r"\{(\w*)")
    assert sorted(names.findall(text)) == sorted(names.findall(i18n.catalogue("zh")[text]))


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"LC_ALL": "", "LANG": "zh_CN.UTF-8"}, "zh"),
        ({}, "en"),
    ],
)
def test_the_language_is_the_first_that_the_environment_names(monkeypatch, environment, expected):
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert i18n.language() == expected
