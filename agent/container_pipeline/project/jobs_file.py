"""Finds jobs files, reads them and validates them against their schema; lines are looked up only for mistakes."""

from __future__ import annotations

import glob
import json
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from container_pipeline.errors import SettingsError
from container_pipeline.i18n import _
from container_pipeline.outside import Unreadable, check_keys, read_file, read_yaml

#: Bounds of one file: bytes, and values with anchors expanded. Ten thousand projects need about a tenth of them.
_LARGEST = 8 << 20
VALUES = 500_000
#: Keys whose values are texts, as they are written: the branch 1.10 is not the number 1.1, and a folder may be named 2024.
_TEXTS = frozenset(["code", "name", "folder", "branch", "branches", "projects", "description", "default", "choices"])


@dataclass(frozen=True)
class JobsFile:
    """One file, parsed but not yet checked."""

    path: str
    text: str
    data: Any

    def line(self, place: Sequence[Any]) -> int:
        """Return the 1-based line of the value at ``place``, or of the nearest value around it."""
        import yaml

        node = self._root
        if node is None:
            return 1
        mark = node.start_mark
        for part in place:
            found = None
            if isinstance(node, yaml.MappingNode):
                found = next(((key, value) for key, value in node.value if key.value == part), None)
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
                found = (node.value[part], node.value[part])
            if found is None:
                break
            mark, node = found[0].start_mark, found[1]
        return int(mark.line) + 1

    @cached_property
    def _root(self) -> Any:
        return read_yaml(self.text, _base(), _LARGEST, VALUES, nodes=True)


@cache
def schema() -> dict[str, Any]:
    """Return the schema of jobs files; editors use it too."""
    data = pkgutil.get_data("container_pipeline", "schema/jobs.schema.json")
    loaded: dict[str, Any] = json.loads(data or b"{}")
    return loaded


def read(patterns: Sequence[str]) -> list[JobsFile]:
    """Read all files that match ``patterns``; raises SettingsError for a pattern without a match or a file that is not YAML."""
    paths: dict[str, None] = {}
    for pattern in patterns:
        found = sorted(glob.glob(pattern, recursive=True)) or ([pattern] if Path(pattern).is_file() else [])
        if not found:
            raise SettingsError(
                _("jobs file {pattern} does not exist", pattern=pattern),
                _(
                    "`container-pipeline seed --export` prints a first one from the jobs that Jenkins has, and `--from-scm-list FILE` from a list of repositories"
                ),
            )
        paths.update(dict.fromkeys(found))
    return [_read(path) for path in paths]


def _read(path: str) -> JobsFile:
    try:
        text = read_file(Path(path), _LARGEST).decode()
        return JobsFile(
            path, text, read_yaml(text, _base(), _LARGEST, VALUES, check=lambda node: check_keys(node, _keep_texts))
        )
    except UnicodeDecodeError as error:
        raise SettingsError(_("{place} cannot be read: {problem}", place=path, problem=_("it is not UTF-8"))) from error
    except Unreadable as error:
        place = error.place(path)
        raise SettingsError(_("{place} cannot be read: {problem}", place=place, problem=error.problem)) from error
    except OSError as error:
        raise SettingsError(
            _("{place} cannot be read: {problem}", place=path, problem=error.strerror or error)
        ) from error


def _keep_texts(node: Any) -> None:
    for key, value in node.value if node.id == "mapping" else ():
        if key.value in _TEXTS and not (key.value == "default" and _may_be_boolean(node)):
            for text in value.value if isinstance(value.value, list) else [value]:
                _take_as_written(text)


def _may_be_boolean(parameter: Any) -> bool:
    """Return whether a parameter's type is boolean, or comes from another map."""
    types = [value.value for key, value in parameter.value if key.value == "type"]
    return types == ["boolean"] or (not types and any(key.value == "<<" for key, _value in parameter.value))


def _take_as_written(node: Any) -> None:
    if getattr(node, "tag", "").endswith((":int", ":float", ":bool", ":timestamp")):
        node.tag = "tag:yaml.org,2002:str"


def _base() -> Any:
    """Return libyaml's loader, which is eight times as fast. It is compiled, so the agent in the Jenkins library has none."""
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)
