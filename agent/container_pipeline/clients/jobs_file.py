"""Jobs files: found, read and checked against their schema; the line of a mistake is looked up only when there is one."""

from __future__ import annotations

import glob
import json
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from container_pipeline.errors import SettingsError
from container_pipeline.i18n import _

#: Values that a jobs file may have, its anchors unfolded.
VALUES = 1_000_000


@dataclass(frozen=True)
class JobsFile:
    """One file, parsed but not yet checked."""

    path: str
    text: str
    data: Any

    def line(self, place: Sequence[Any]) -> int:
        """Return the line, from 1 on, of what stands at ``place``, or of the nearest thing around it."""
        import yaml

        node = yaml.compose(self.text, Loader=_base())
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
        return JobsFile(path, text, _parse(text))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else path
        problem = getattr(error, "problem", None) or getattr(error, "strerror", None) or _reason(error)
        raise SettingsError(_("{place} cannot be read: {problem}", place=place, problem=problem)) from error
    except RecursionError as error:
        raise SettingsError(
            _("{place} cannot be read: {problem}", place=path, problem=_("it is nested too deeply"))
        ) from error


def _reason(error: Exception) -> str:
    """Return the reason of an error that has neither a place nor a problem: a character that no text has."""
    import yaml

    if isinstance(error, yaml.reader.ReaderError):
        code = error.character if isinstance(error.character, int) else ord(error.character)
        return _("character {code} cannot stand in YAML", code=f"U+{code:04X}")
    return _("it is not UTF-8")


def _parse(text: str) -> Any:
    """Return the data of ``text``. Anchors and merge keys are taken; raises YAMLError for what a jobs file cannot hold."""
    loader = _base()(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check(node, (), {})
        return loader.construct_document(node)
    except ValueError as error:  # a date or a number that is none
        raise _mistake(str(error), node) from error
    finally:
        loader.dispose()


def _check(node: Any, above: tuple[Any, ...], sizes: dict[Any, int]) -> int:
    """Return how many values ``node`` has with its anchors unfolded; ``sizes`` are those of the nodes seen before.

    Refuses keys that stand twice, of which PyYAML takes the last, keys that are no text, and anchors without an end.
    Before anything is constructed: merge keys make keys stand twice that nobody wrote twice.
    """
    if node in sizes:
        return sizes[node]
    if node in above:
        raise _mistake(_("an anchor contains itself"), node)
    size, keys = 1, set()
    for item in node.value if isinstance(node.value, list) else ():
        key, value = item if isinstance(item, tuple) else (None, item)
        if key is not None and isinstance(key.value, list):
            raise _mistake(_("a key must be a text, not a list or a map"), key)
        if key is not None and key.value in keys:
            raise _mistake(_("the key {name!r} stands twice", name=key.value), key)
        keys.add(key and key.value)
        size += _check(value, (*above, node), sizes)
    if size > VALUES:
        raise _mistake(_("anchors unfold to more than {count} values", count=VALUES), node)
    sizes[node] = size
    return size


def _mistake(problem: str, node: Any) -> Exception:
    import yaml

    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _base() -> Any:
    """Return libyaml's loader, which is eight times as fast, but compiled: the agent that the library carries has none."""
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)
