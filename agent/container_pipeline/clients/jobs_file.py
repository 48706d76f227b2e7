"""Jobs files: found, read and checked against their schema; the line of a mistake is looked up only when there is one."""

from __future__ import annotations

import glob
import json
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from container_pipeline.errors import SettingsError
from container_pipeline.i18n import _


@dataclass(frozen=True)
class JobsFile:
    """One file, parsed but not yet checked."""

    path: str
    text: str
    data: Any

    def line(self, place: Sequence[Any]) -> int:
        """Return the line, from 1 on, of what stands at ``place``, or of the nearest thing around it."""
        import yaml

        node = yaml.compose(self.text, Loader=_loader())
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


def schema() -> dict[str, Any]:
    """Return the schema of jobs files, which editors use too."""
    data = pkgutil.get_data("container_pipeline", "schema/jobs.schema.json")
    loaded: dict[str, Any] = json.loads(data or b"{}")
    return loaded


def read(patterns: Sequence[str]) -> list[JobsFile]:
    """Read all files that ``patterns`` name; raises SettingsError for one that names nothing or is not YAML."""
    paths: dict[str, None] = {}
    for pattern in patterns:
        found = sorted(glob.glob(pattern, recursive=True)) or ([pattern] if Path(pattern).is_file() else [])
        if not found:
            raise SettingsError(
                _("there is no jobs file {pattern}", pattern=pattern),
                _("`container-pipeline seed --export` writes a first one from what Jenkins has"),
            )
        paths.update(dict.fromkeys(found))
    return [_read(path) for path in paths]


def _read(path: str) -> JobsFile:
    import yaml

    try:
        text = Path(path).read_text(encoding="utf-8")
        return JobsFile(path, text, yaml.load(text, Loader=_loader()))  # noqa: S506 - both loaders are safe ones
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else path
        problem = getattr(error, "problem", None) or getattr(error, "strerror", None) or _("it is not UTF-8")
        raise SettingsError(_("{place} cannot be read: {problem}", place=place, problem=problem)) from error


@cache
def _loader() -> Any:
    """libyaml's loader is eight times as fast, but compiled: the agent that the library carries has none.

    A key that stands twice is an error: PyYAML would let the second replace the first, with all its projects.
    """
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen = {key.value for key, _value in node.value}
            if len(seen) < len(node.value):
                names = [key.value for key, _value in node.value]
                twice = next(key for key, _value in reversed(node.value) if names.count(key.value) > 1)
                problem = _("the key {name!r} stands twice", name=twice.value)
                raise yaml.constructor.ConstructorError(None, None, problem, twice.start_mark)
            return super().construct_mapping(node, deep)

    return Loader
