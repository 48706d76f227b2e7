"""A Compose file as YAML nodes with their lines; merge keys and anchors are followed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

import yaml

from container_pipeline.outside import Unreadable, check_keys, read_yaml
from container_pipeline.plan.lint.model import Edit, Source

#: Line ends for YAML but not for an editor; with them, the lines of nodes differ from those of the file.
_BREAK = re.compile("\r(?!\n)|[\x85\u2028\u2029]")


@lru_cache(maxsize=4)
def _root(text: str) -> yaml.Node | None:
    """Return the root node. Several rules and each repair ask for the same texts."""
    # Compose v2 refuses a key that is there twice, and v1 takes the last one.
    root: yaml.Node | None = read_yaml(text, nodes=True, check=check_keys)
    return root


class ParsedCompose:
    """``problem`` is (line, sentence) if it is not a YAML map; then all else is empty."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.problem: tuple[int, str] | None = None
        self.root: yaml.Node | None = None
        try:
            self.root = _root(source.plain)
        except Unreadable as error:
            self.problem = (error.line or 1, error.problem)

    @property
    def includes(self) -> bool:
        """Whether other files bring services, too."""
        return get(self.root, "include") is not None

    @property
    def services(self) -> dict[str, ParsedService]:
        return {
            key.value: ParsedService(self, key, value)
            for key, value in pairs(get(self.root, "services"))
            if isinstance(value, yaml.MappingNode)
        }


class ParsedService:
    def __init__(self, file: ParsedCompose, key: yaml.Node, node: yaml.MappingNode) -> None:
        self.file = file
        self.key = key
        self.name: str = key.value
        self.line: int = key.start_mark.line + 1
        self.node = node

    def get(self, *path: str) -> yaml.Node | None:
        """Return the node at ``path``, or None."""
        node: yaml.Node | None = self.node
        for name in path:
            node = get(node, name)
        return node

    def text(self, *path: str) -> str:
        node = self.get(*path)
        return str(node.value) if isinstance(node, yaml.ScalarNode) else ""

    def lacks(self, name: str) -> bool:
        """Return whether ``name`` is missing; a service that extends another may inherit it."""
        return self.get(name) is None and self.get("extends") is None

    def add(self, lines: tuple[str, ...]) -> Edit | None:
        """Return the edit that adds ``lines`` as the service's last keys, None in flow style."""
        return insert(self.file.source, self.node, lines)

    def environment(self) -> Iterator[tuple[str, str, int]]:
        """Yield each (name, value, line); the value is "" if the host sets it."""
        node = self.get("environment")
        if isinstance(node, yaml.MappingNode):
            for key, value in pairs(node):
                yield key.value, str(value.value), key.start_mark.line + 1
        for item in items(node):
            name, _equals, text = str(item.value).partition("=")
            yield name, text, item.start_mark.line + 1


def pairs(node: yaml.Node | None) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Yield each key and value of a map: its own first, then those that ``<<`` merges."""
    if not isinstance(node, yaml.MappingNode):
        return
    own = [(key, value) for key, value in node.value if key.value != "<<"]
    yield from own
    seen = {key.value for key, _value in own}
    for key, value in node.value:
        if key.value == "<<":
            for merged in items(value) if isinstance(value, yaml.SequenceNode) else [value]:
                yield from ((key, value) for key, value in pairs(merged) if key.value not in seen)


def items(node: yaml.Node | None) -> list[yaml.Node]:
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def get(node: yaml.Node | None, name: str) -> yaml.Node | None:
    return next((value for key, value in pairs(node) if key.value == name), None)


def line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def insert(source: Source, node: yaml.Node | None, lines: tuple[str, ...]) -> Edit | None:
    """Return the edit that adds ``lines`` before a block's first entry, with its indentation."""
    if not isinstance(node, yaml.CollectionNode) or node.flow_style or not node.value or _BREAK.search(source.plain):
        return None
    entry = node.value[0][0] if isinstance(node, yaml.MappingNode) else node.value[0]
    before = line(entry)
    # The node itself begins at its anchor, `web: &app`; an aliased entry is elsewhere.
    found = re.fullmatch(r"( *)(- +)?", source.lines[before - 1][: entry.start_mark.column])
    if not found or bool(found[2]) != isinstance(node, yaml.SequenceNode):
        return None
    return Edit(before, before - 1, tuple(found[1] + text for text in lines))


def replace_value(source: Source, node: yaml.Node, text: str) -> Edit | None:
    """Return the edit that replaces a one-line scalar with ``text`` and keeps a comment after it."""
    start, end = node.start_mark, node.end_mark
    if not isinstance(node, yaml.ScalarNode) or start.line != end.line or _BREAK.search(source.plain):
        return None
    old = source.lines[start.line]
    if old[start.column : start.column + 1] in ("&", "!"):
        return None
    return Edit(start.line + 1, start.line + 1, (old[: start.column] + text + old[end.column :],))
