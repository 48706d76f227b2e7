"""Validates data against the part of JSON Schema (draft 7) that our schemas use, with messages for people.

A general validator reports the failed rule ("cannot be validated by any definition"); a person needs the place, the
nearest known key and a correct form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from container_pipeline.i18n import _
from container_pipeline.keys import nearest

Path = tuple[Any, ...]
Schema = Mapping[str, Any]

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


@dataclass(frozen=True)
class Problem:
    """A problem at ``path`` (keys and indexes from the root), and its solution."""

    path: Path
    message: str
    hint: str = ""


def check(root: Schema, data: Any) -> Iterator[Problem]:
    """Yield every problem of ``data`` under the schema ``root``."""
    return _check(root, root, data, ())


def _check(root: Schema, rule: Schema, data: Any, path: Path) -> Iterator[Problem]:
    rule = _choose(root, rule, data)
    allowed = _types(root, rule)
    if allowed and not any(_is(data, name) for name in allowed):
        kinds = " / ".join(_type_name(name) for name in allowed if name != "null")
        yield Problem(path, _("{where} must be: {kinds}", where=_where(path), kinds=kinds))
    elif "enum" in rule or "const" in rule:
        known = [str(choice) for choice in rule.get("enum", [rule.get("const")]) if choice is not None]
        if data not in rule.get("enum", [rule.get("const")]):
            yield Problem(path, _("{where} is {value!r}", where=_where(path), value=data), nearest(str(data), known))
    elif isinstance(data, str):
        yield from _check_text(rule, data, path)
    elif isinstance(data, list):
        if len(data) < rule.get("minItems", 0):
            yield Problem(path, _("{where} is empty", where=_where(path)))
        for index, item in enumerate(data):
            yield from _check(root, rule.get("items", {}), item, (*path, index))
    elif isinstance(data, dict):
        yield from _check_object(root, rule, data, path)
    elif data is not None and data < rule.get("minimum", data):
        yield Problem(path, _("{where} must be at least {least}", where=_where(path), least=rule["minimum"]))


def _check_text(rule: Schema, data: str, path: Path) -> Iterator[Problem]:
    if len(data) < rule.get("minLength", 0):
        yield Problem(path, _("{where} is empty", where=_where(path)))
    elif "pattern" in rule and not _compiled(rule["pattern"]).search(data):
        yield Problem(
            path, _("{where} cannot be {value!r}", where=_where(path), value=data), rule.get("description", "")
        )


def _check_object(root: Schema, rule: Schema, data: dict[Any, Any], path: Path) -> Iterator[Problem]:
    known = rule.get("properties", {})
    other = rule.get("additionalProperties", True)
    if len(data) < rule.get("minProperties", 0):
        yield Problem(path, _("{where} is empty", where=_where(path)))
    for name in rule.get("required", ()):
        if name not in data:
            yield Problem(path, _("{where} needs the key {name!r}", where=_where(path), name=name))
    for name, value in data.items():
        place = (*path, name)
        if name in known:
            yield from _check(root, known[name], value, place)
        elif other is False:
            yield Problem(
                place,
                _("unknown key {name!r} in {where}", name=name, where=_where(path)),
                nearest(str(name), list(known)),
            )
        elif isinstance(other, dict):
            yield from _check(root, other, value, place)


def _choose(root: Schema, rule: Schema, data: Any) -> Schema:
    """Follow references; of several alternatives, choose the intended one by the data's type."""
    while "$ref" in rule or "anyOf" in rule:
        if "$ref" in rule:
            target: Any = root
            for part in rule["$ref"].lstrip("#/").split("/"):
                target = target[part]
            rule = target
            continue
        alternatives = rule["anyOf"]
        fitting = [one for one in alternatives if any(_is(data, name) for name in _types(root, one))]
        rule = fitting[0] if fitting else {"type": [name for one in alternatives for name in _types(root, one)]}
    return rule


def _types(root: Schema, rule: Schema) -> list[str]:
    if "$ref" in rule:
        return _types(root, _choose(root, rule, None))
    if "const" in rule:
        return ["boolean"]
    named = rule.get("type", [])
    return [named] if isinstance(named, str) else list(named)


def _is(data: Any, name: str) -> bool:
    if isinstance(data, bool):
        return name == "boolean"
    return isinstance(data, _TYPES[name])


def _type_name(name: str) -> str:
    if name == "object":
        return _("a map of keys and values")
    if name == "array":
        return _("a list")
    if name == "string":
        return _("text")
    if name == "integer":
        return _("a whole number")
    return _("a number") if name == "number" else _("true or false")


def _where(path: Path) -> str:
    """Return ``path`` in the form ``projects[3].triggers``."""
    text = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
    return text or _("the file")


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
