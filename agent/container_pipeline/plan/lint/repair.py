"""Repairs that change nothing else: the file's meaning before and after is compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import yaml

from container_pipeline.plan.lint.composefile import ParsedCompose, pairs
from container_pipeline.plan.lint.dockerfile import Dockerfile
from container_pipeline.plan.lint.model import Edit, Finding, Source, applicable, apply
from container_pipeline.plan.lint.text_rules import EnvFile, Requirements

#: Rule → keys of the service that its repair may change, in the file and in Compose's resolved form.
_SERVICE_KEYS = {
    "CP202": ("container_name",),
    "CP203": ("hostname",),
    "CP204": ("image",),
    "CP205": ("restart",),
    "CP206": ("logging",),
    "CP207": ("env_file", "environment"),
    "CP208": ("ulimits",),
    "CP209": ("environment",),
    "CP210": ("ports",),
}
#: More entries than any real Compose file has; nested anchors can turn ten into thousands.
_MOST = 20_000


def repaired(
    kind: str,
    source: Source,
    findings: Sequence[Finding],
    code: str,
    valid: Callable[[str, str, Sequence[Finding]], bool],
) -> tuple[str, list[Finding]]:
    """Return the text with all repairs that are safe together, and the findings without a safe repair.

    ``valid`` decides too: whether another program reads both texts alike except for what the findings may change.
    """

    def safe(chosen: Sequence[Finding]) -> bool:
        text = apply(source.text, [one.edit for one in chosen if one.edit])
        after = Source(source.name, text)
        return _alike(kind, source, after, chosen, code) and valid(source.text, text, chosen)

    def applied(chosen: Sequence[Finding]) -> list[Finding]:
        edits = applicable(source.text, [one.edit for one in chosen if one.edit])
        return [one for one in chosen if one.edit in edits]

    wanted = applied(findings)
    if not wanted or safe(wanted):
        return apply(source.text, [one.edit for one in wanted if one.edit]), []
    kept: list[Finding] = []
    left: list[Finding] = []
    for one in wanted:
        if safe([*kept, one]):
            kept.append(one)
        else:
            left.append(one)
    return apply(source.text, [one.edit for one in kept if one.edit]), left


def _alike(kind: str, before: Source, after: Source, findings: Sequence[Finding], code: str) -> bool:
    if kind == "docker-compose.yml":
        return _compose_alike(before, after, findings, code)
    edits = [one.edit for one in findings if one.edit and not one.edit.plain]
    reader = {"Dockerfile": _instructions, ".env": _entries, "requirements.txt": _requirements}.get(kind, _lines)
    old, new = _beside(reader(before), edits, False), _beside(reader(after), edits, True)
    return old == new and not (kind == "Dockerfile" and _loses_comment(before, edits))


def _beside(parts: Iterable[tuple[int, int, Any]], edits: Sequence[Edit], applied: bool) -> list[Any]:
    """Return the text outside of the ``edits``, by their lines before or after they are ``applied``."""
    ranges, moved = [], 0
    for edit in sorted(edits, key=lambda edit: edit.first):
        last = edit.first + len(edit.lines) - 1 if applied else edit.last
        ranges.append((edit.first + moved, last + moved))
        moved += applied * (len(edit.lines) - (edit.last - edit.first + 1))
    return [part for first, last, part in parts if not any(start <= last and first <= end for start, end in ranges)]


def _instructions(source: Source) -> Iterable[tuple[int, int, Any]]:
    for one in Dockerfile(source).instructions:
        yield one.first, one.last, (one.keyword, one.flags, one.text, one.body, one.unended, one.stage)


def _loses_comment(before: Source, edits: Sequence[Edit]) -> bool:
    return any(
        line.lstrip().startswith("#") and line not in edit.lines
        for edit in edits
        for line in before.lines[edit.first - 1 : edit.last]
    )


def _entries(source: Source) -> Iterable[tuple[int, int, Any]]:
    return ((number, number, (name, value)) for number, name, value in EnvFile(source).entries())


def _requirements(source: Source) -> Iterable[tuple[int, int, Any]]:
    return ((number, number, text) for number, text in Requirements(source).entries())


def _lines(source: Source) -> Iterable[tuple[int, int, Any]]:
    return ((number, number, line.rstrip("\r")) for number, line in enumerate(source.lines, 1))


def _compose_alike(before: Source, after: Source, findings: Sequence[Finding], code: str) -> bool:
    try:
        old, new = meaning(ParsedCompose(before)), meaning(ParsedCompose(after))
    except (ValueError, RecursionError):
        return False
    return alike(old, new, findings, code)


def meaning(file: ParsedCompose) -> Any:
    """Return the nodes' meaning, with merge keys and anchors followed; raises ValueError for endless or invalid YAML."""
    if file.problem or file.root is None:
        raise ValueError("not YAML")
    count = 0

    def value(node: yaml.Node, above: tuple[int, ...]) -> Any:
        nonlocal count
        count += 1
        if count > _MOST or id(node) in above:
            raise ValueError("too much")
        inner = (*above, id(node))
        if isinstance(node, yaml.MappingNode):
            return {str(key.value): value(item, inner) for key, item in reversed(list(pairs(node)))}
        if isinstance(node, yaml.SequenceNode):
            return [value(item, inner) for item in node.value]
        return (node.tag, node.value)

    return value(file.root, ())


def alike(old: Any, new: Any, findings: Sequence[Finding], code: str) -> bool:
    """Return whether two readings of a Compose file differ only in what ``findings`` repair."""
    for reading in (old, new):
        if not isinstance(reading, dict) or not isinstance(reading.get("services"), dict):
            return False
    rules = {one.rule for one in findings}
    if "CP211" in rules:
        old, new = _without(old, "version"), _without(new, "version")
    old_services, new_services = old["services"], new["services"]
    if "CP201" in rules:  # the only service has a different name
        old_services = {code: next(iter(old_services.values()), None)}
    if _without(old, "services") != _without(new, "services") or old_services.keys() != new_services.keys():
        return False
    for name, service in old_services.items():
        keys = [key for rule in rules for key in _SERVICE_KEYS.get(rule, ()) if name == code or rule == "CP210"]
        if _without(service, *keys) != _without(new_services[name], *keys):
            return False
    return True


def _without(reading: Any, *keys: str) -> Any:
    return {key: value for key, value in reading.items() if key not in keys} if isinstance(reading, dict) else reading
