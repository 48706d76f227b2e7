"""What a setting is told becomes a value of its key's kind, or a SettingsError that names the key and where it was told."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from container_pipeline.errors import SettingsError
from container_pipeline.i18n import _
from container_pipeline.keys import KEYS, Key, nearest
from container_pipeline.model import Target


def convert(key: Key, value: Any, source: str) -> Any:
    """Return ``value`` as the key's kind, or raise SettingsError that names key and source."""
    where = key.variable if source == "environment" else f"{key.name} ({source})"
    converted = _CONVERTERS[key.kind](value, where)
    if key.choices and converted and converted not in key.choices:
        raise SettingsError(
            _("{where} is {value!r}", where=where, value=converted), nearest(str(converted), key.choices)
        )
    return converted


def _text(value: Any, where: str) -> str:
    if isinstance(value, bool):
        return "true" if value else ""
    if value is None or isinstance(value, (str, int, float)):
        text = "" if value is None else str(value)
        if "\n" in text or "\0" in text:
            raise SettingsError(_("{where} must be one line", where=where))
        return text
    raise SettingsError(_("{where} must be a text", where=where))


def _integer(value: Any, where: str) -> int:
    text = str(value)
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,6}", text) or int(text) < 1:
        raise SettingsError(_("{where} must be a whole number from 1 on, not {value!r}", where=where, value=value))
    return int(text)


def _boolean(value: Any, where: str) -> bool:
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    text = str(value).lower()
    if text not in words:
        raise SettingsError(_("{where} must be true or false, not {value!r}", where=where, value=value))
    return words[text]


def _structured(value: Any, where: str) -> Any:
    """Read JSON where a variable carries it."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except ValueError as error:
            raise SettingsError(_("{where} is not the JSON that it begins as", where=where)) from error
    return value


def _items(value: Any, where: str) -> list[Any]:
    value = _structured(value, where)
    if isinstance(value, str):
        return [item for item in re.split(r"[,\s]+", value) if item]
    if isinstance(value, (list, tuple)):
        return list(value)
    raise SettingsError(_("{where} must be a list", where=where))


def _list(value: Any, where: str) -> tuple[str, ...]:
    return tuple(_text(item, where) for item in _items(value, where))


def _map(value: Any, where: str) -> dict[str, Any]:
    value = _structured(value, where)
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        pairs = [item.partition("=") for item in _items(value, where)]
        if all(separator for _name, separator, _value in pairs):
            return {name: text for name, _separator, text in pairs}
    if not isinstance(value, Mapping):
        raise SettingsError(_("{where} must be a map of names and values", where=where))
    return {str(name): item for name, item in value.items()}


_SERVER_KEYS = ("host", "user", "port", "remote_root", "name")


def _servers(value: Any, where: str) -> tuple[Any, ...]:
    """Check the shape of servers; ``Target`` checks what they hold."""
    items = _items(value, where)
    targets(items)
    return tuple(items)


def targets(items: Sequence[Any]) -> tuple[Target, ...]:
    targets: list[Target] = []
    for item in items:
        target = item if isinstance(item, Target) else target_of(item)
        if target.name in [other.name for other in targets]:
            raise SettingsError(_("server {name} is named twice", name=target.name))
        targets.append(target)
    return tuple(targets)


def target_of(item: Any) -> Target:
    if isinstance(item, str):
        return Target.parse(item)
    if not isinstance(item, Mapping) or not item.get("host"):
        raise SettingsError(_("{value!r} is not a server: write [user@]host[:port]", value=item))
    refuse_unknown(item, _SERVER_KEYS, "servers")
    return Target(
        host=str(item["host"]),
        user=str(item.get("user") or ""),
        port=_integer(item["port"], "servers.port") if item.get("port") else 0,
        remote_root=str(item.get("remote_root") or ""),
        label=str(item.get("name") or ""),
    )


def _environments(value: Any, where: str) -> dict[str, dict[str, Any]]:
    allowed = {key.name: key for key in KEYS if key.per_environment}
    checked: dict[str, dict[str, Any]] = {}
    for name, keys in _map(value, where).items():
        place = f"{where}.{name}"
        entries = _map(keys, place)
        refuse_unknown(entries, list(allowed), place)
        checked[name] = {entry: convert(allowed[entry], item, place) for entry, item in entries.items()}
    return checked


_CONVERTERS = {
    "text": _text,
    "integer": _integer,
    "boolean": _boolean,
    "list": _list,
    "map": _map,
    "servers": _servers,
    "environments": _environments,
}


def refuse_unknown(data: Mapping[Any, Any], known: Sequence[str], where: str) -> None:
    for name in data:
        if name not in known:
            raise SettingsError(_("unknown key {name!r} in {where}", name=name, where=where), nearest(str(name), known))
