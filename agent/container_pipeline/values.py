"""Convert a raw setting to its key's type, or raise SettingsError with the key and the source of the value."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from container_pipeline.errors import SettingsError
from container_pipeline.i18n import _
from container_pipeline.keys import KEYS, Key, nearest
from container_pipeline.model import Program, Target
from container_pipeline.outside import LARGEST_YAML, read_json
from container_pipeline.windows import parse, zone_of


class Spelled(str):
    """A YAML number, date or boolean, kept as the file spells it."""

    __slots__ = ()


@cache
def as_texts() -> Any:
    """Return a YAML loader that keeps the spelling of numbers, dates and words such as `no`; the key's type decides.

    YAML 1.1 reads 2024_11 as 202411, 12:30 as 750 and no as false, which breaks codes and host names.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """Loads strings, lists, maps and null."""

    def spelled(loader: Any, node: Any) -> Spelled:
        return Spelled(loader.construct_scalar(node))

    for name in ("bool", "int", "float", "timestamp"):
        Loader.add_constructor(f"tag:yaml.org,2002:{name}", spelled)
    return Loader


def convert(key: Key, value: Any, source: str) -> Any:
    """Return ``value`` as the key's type, or raise SettingsError with key and source."""
    variables = {"environment": key.variable, "site": key.site_variable}
    where = variables.get(source) or f"{key.name} ({source})"
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
    raise SettingsError(_("{where} must be text", where=where))


def _integer(value: Any, where: str) -> int:
    text = str(value)
    if isinstance(value, bool) or not re.fullmatch(r"[1-9][0-9]{0,5}", text):
        raise SettingsError(_("{where} must be a whole number of at least 1, not {value!r}", where=where, value=value))
    return int(text)


_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def _boolean(value: Any, where: str) -> bool:
    text = str(value).lower()
    if text not in _WORDS:
        raise SettingsError(_("{where} must be true or false, not {value!r}", where=where, value=value))
    return _WORDS[text]


def _text_or_boolean(value: Any, where: str) -> str:
    """Return "true" for yes, "" for no, and any other text unchanged."""
    text = _text(value, where)
    known = _WORDS.get(text.lower())
    return text if known is None else "true" if known else ""


#: Who may approve is a list of users and groups; how long a question stands is a number with its unit.
APPROVE = ("question", "by", "within")
WITHIN = r"[1-9][0-9]{0,3} ?[smhd]"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _approve(value: Any, where: str) -> Any:
    """Return "true" for yes, "" for no, any other text unchanged; of a map its keys, with ``within`` in seconds."""
    value = _structured(value, where)
    if not isinstance(value, Mapping):
        return _text_or_boolean(value, where)
    refuse_unknown(value, APPROVE, where)
    checked: dict[str, Any] = {"question": _text(value.get("question"), f"{where}.question")}
    people = value.get("by", ())
    checked["by"] = tuple(name for name in _list(people, f"{where}.by") if name)
    if "by" in value and not checked["by"]:
        raise SettingsError(_("{where} is empty: nobody could approve", where=f"{where}.by"))
    within = _text(value.get("within"), f"{where}.within")
    if within and not re.fullmatch(WITHIN, within):
        raise SettingsError(
            _("{where} cannot be {value!r}", where=f"{where}.within", value=within),
            _("write a number and s, m, h or d, such as 4h"),
        )
    checked["within"] = int(within[:-1]) * _SECONDS[within[-1]] if within else 0
    return checked


def _structured(value: Any, where: str) -> Any:
    """Parse a variable's value as JSON if it looks like JSON."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return read_json(value, object, LARGEST_YAML)
        except ValueError as error:
            raise SettingsError(_("{where} begins like JSON but is not valid JSON", where=where)) from error
    return value


def _items(value: Any, where: str) -> list[Any]:
    value = _structured(value, where)
    if isinstance(value, str) and not isinstance(value, Spelled):
        return [item for item in re.split(r"[,\s]+", value) if item]
    if isinstance(value, (list, tuple)):
        return list(value)
    raise SettingsError(_("{where} must be a list", where=where))


def _list(value: Any, where: str) -> tuple[str, ...]:
    return tuple(_text(item, where) for item in _items(value, where))


#: What no name of a branch has (git-check-ref-format(1)), and what is special in patterns of other kinds.
_NO_BRANCH = re.compile(
    r"[\x00-\x20\x7f~^:?\[\]\\(){}|$]|\.\.|//|\*{3}|^[-/.!]|^refs/|/\.|[/.]$|\.lock$",
)


def _branches(value: Any, where: str) -> tuple[str, ...]:
    """Return patterns of branches: ``*`` stands for any characters but ``/``, ``**`` for any."""
    patterns = _list([value] if isinstance(value, Spelled) else value, where)
    hint = _("write names, or patterns in which * stands for any characters but / and ** for any, such as release/*")
    if not patterns:
        raise SettingsError(_("{where} is empty: no branch would publish", where=where), hint)
    for pattern in patterns:
        if not pattern or _NO_BRANCH.search(pattern):
            raise SettingsError(
                _("{where}: {pattern!r} is neither a branch nor a pattern", where=where, pattern=pattern), hint
            )
    return patterns


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


def _freeze(value: Any, where: str) -> tuple[str, ...]:
    """Return windows of time, each in one form; a text has several between commas."""
    value = _structured(value, where)
    if value is None or isinstance(value, str):
        value = [item for item in str(value or "").split(",") if item.strip()]
    found = []
    for text in _list(value, where):
        try:
            window = parse(text)
            zone_of(window.zone)
        except SettingsError as error:
            raise SettingsError(_("{where}: {problem}", where=where, problem=error.message), error.hint) from error
        found.append(window.text)
    return tuple(found)


#: Formats of messages to a chat, and what they are sent for; without ``on`` for all but success.
CHATS = ("dingtalk", "wecom", "feishu", "slack")
EVENTS = ("question", "failure", "fixed", "success")
EVENTS_BY_DEFAULT = EVENTS[:-1]
#: Whom a message calls: everybody, a telephone number (DingTalk, WeCom), or the id of a person in Feishu or Slack.
MENTION = r"all|\+?[0-9][0-9-]{4,19}|ou_[0-9a-z]{4,64}|[UW][0-9A-Z]{6,20}"
NOTIFY = ("credentials", "format", "secret", "mention", "on")


def _notify(value: Any, where: str) -> dict[str, Any]:
    """Return the map of ``notify``; a text is the id of its Jenkins credentials."""
    value = _structured(value, where)
    if not isinstance(value, Mapping):
        return {"credentials": _text(value, where)} if value else {}
    refuse_unknown(value, NOTIFY, where)
    checked: dict[str, Any] = {}
    for name, item in value.items():
        place = f"{where}.{name}"
        if name in ("mention", "on"):
            single = isinstance(item, Spelled) or not isinstance(item, (str, list, tuple))
            checked[name] = _list([item] if single else item, place)
        else:
            checked[name] = _text(item, place)
    for name, known in (("format", CHATS), ("on", EVENTS)):
        for text in [checked[name]] if name == "format" and checked.get(name) else checked.get(name, ()):
            if text not in known:
                raise SettingsError(
                    _("{where} is {value!r}", where=f"{where}.{name}", value=text), nearest(text, known)
                )
    for one in checked.get("mention", ()):
        if not re.fullmatch(MENTION, one):
            raise SettingsError(
                _("{where} cannot be {value!r}", where=f"{where}.mention", value=one),
                _("write telephone numbers, or all; for Feishu and Slack ids of people, such as ou_1a2b3c"),
            )
    return checked


_PROGRAM_KEYS = ("command", "format", "timeout", "inherit")
_FORMATS = ("dotenv", "json")
#: What only a shell understands; a program gets its arguments without one.
_SHELL = re.compile(r"""["'`$|&;<>(){}*?~\\]""")


def _program(value: Any, where: str) -> Program | None:
    """Return a program from its arguments, or from a map that holds them as ``command``; an empty value is none."""
    given = _structured(value, where)
    if not isinstance(given, Mapping):
        command = _arguments(given, where)
        return Program(command) if command else None
    refuse_unknown(given, _PROGRAM_KEYS, where)
    command = _arguments(given.get("command"), f"{where}.command")
    if not command:
        raise SettingsError(_("{where} has no command", where=where), _("write `command:` and its arguments as a list"))
    kind = _text(given.get("format") or Program.format, f"{where}.format")
    if kind not in _FORMATS:
        raise SettingsError(_("{where} is {value!r}", where=f"{where}.format", value=kind), nearest(kind, _FORMATS))
    names = _list(given.get("inherit") or (), f"{where}.inherit")
    for name in names:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise SettingsError(
                _("{where} holds something else than names of variables", where=f"{where}.inherit"),
                _("write names alone, such as [VAULT_TOKEN]"),
            )
    seconds = given.get("timeout")
    timeout = Program.timeout if seconds is None else _integer(seconds, f"{where}.timeout")
    return Program(command, kind, timeout, names)


def _arguments(value: Any, where: str) -> tuple[str, ...]:
    """Return a program and its arguments; a text is split at blanks, and refused where it needs a shell."""
    if isinstance(value, str) and _SHELL.search(value):
        raise SettingsError(
            _("{where} looks like a line for a shell, and no shell runs it", where=where),
            _("write the program and each argument as an item of a list, such as [sops, decrypt, prod.env]"),
        )
    items = value.split() if isinstance(value, str) else list(value) if isinstance(value, (list, tuple)) else []
    if (value and not items) or not all(isinstance(item, str) and "\0" not in item for item in items):
        raise SettingsError(_("{where} must be a list of texts", where=where))
    if items and not items[0]:
        raise SettingsError(_("{where} begins with an empty text instead of a program", where=where))
    return tuple(map(str, items))


def _options(value: Any, where: str, main: str, known: Sequence[str]) -> dict[str, Any]:
    """Return a map with the keys in ``known``; any other value stands for the key ``main`` alone, an empty one for {}."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        # A shell's text may begin with a bracket, too.
        with contextlib.suppress(ValueError):
            value = read_json(value, object, LARGEST_YAML)
    if value is None or value == "" or value in ([], {}, ()):
        return {}
    if not isinstance(value, Mapping):
        return {main: value}
    refuse_unknown(value, known, where)
    return {name: item for name, item in value.items() if item is not None}


def _command(value: Any, where: str) -> tuple[str, ...]:
    """Return an argument list: a text is run by ``sh -c``, a list as it is."""
    texts = value if isinstance(value, (list, tuple)) else [value]
    if not texts or not all(isinstance(text, (str, int, float)) and not isinstance(text, bool) for text in texts):
        raise SettingsError(_("{where} must be a text or a list of texts", where=where))
    words = tuple(map(str, texts))
    if not words[0].strip() or any(re.search(r"[\x00-\x08\x0b-\x1f\x7f]", word) for word in words):
        raise SettingsError(_("{where} is empty or holds a control character", where=where))
    return words if isinstance(value, (list, tuple)) else ("sh", "-c", words[0])


def _release(value: Any, where: str) -> dict[str, Any]:
    """Return ``command`` (an argument list), ``timeout`` in seconds and ``service`` ("": the code's); {} for none."""
    data = _options(value, where, "command", ("command", "timeout", "service"))
    if not data:
        return {}
    if "command" not in data:
        raise SettingsError(_("{where} has no `command:`", where=where))
    service = _text(data.get("service"), f"{where}.service")
    if service and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", service):
        raise SettingsError(
            _("{where} is not the name of a service: {value!r}", where=f"{where}.service", value=service)
        )
    return {
        "command": _command(data["command"], f"{where}.command"),
        "timeout": _integer(data.get("timeout", 600), f"{where}.timeout"),
        "service": service,
    }


def _is_status(text: str) -> bool:
    """Return whether ``text`` is a status of HTTP, or a range that has one."""
    first, _dash, last = text.partition("-")
    return bool(re.fullmatch(r"[1-5][0-9][0-9](-[1-5][0-9][0-9])?", text)) and first <= (last or first)


def _check(value: Any, where: str) -> dict[str, Any]:
    """Return ``path``, ``port`` (0: the container's own), ``status`` (numbers and ranges), ``within`` and ``host``; {} for none."""
    data = _options(value, where, "path", ("path", "port", "status", "within", "host"))
    if not data:
        return {}
    path, host = _text(data.get("path"), f"{where}.path"), _text(data.get("host") or "localhost", f"{where}.host")
    if not re.fullmatch(r"/[!-~]{0,2000}", path):
        raise SettingsError(
            _("{where} must be a path such as /health, not {value!r}", where=f"{where}.path", value=path),
            _("it begins with / and has no blanks; write other characters as %XX"),
        )
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.:_-]{0,252}|\[[0-9a-fA-F:.]+\](:[0-9]+)?", host):
        raise SettingsError(_("{where} is not the name of a host: {value!r}", where=f"{where}.host", value=host))
    port = _integer(data["port"], f"{where}.port") if "port" in data else 0
    given = data.get("status", "200-399")
    status = [str(one) for one in given] if isinstance(given, (list, tuple)) else re.split(r"[,\s]+", str(given))
    if port > 65535 or not status or not all(map(_is_status, status)):
        raise SettingsError(
            _("{where} has a port or a status that does not exist", where=where),
            _("write a port up to 65535, and statuses such as 200 or 200-399"),
        )
    within = _integer(data.get("within", 60), f"{where}.within")
    return {"path": path, "port": port, "status": tuple(status), "within": within, "host": host}


def _drain(value: Any, where: str) -> dict[str, Any]:
    """Return ``seconds`` and ``command`` (an argument list, or ()); {} for none."""
    data = _options(value, where, "seconds", ("seconds", "command"))
    if not data:
        return {}
    return {
        "seconds": _integer(data["seconds"], f"{where}.seconds") if "seconds" in data else 0,
        "command": _command(data["command"], f"{where}.command") if data.get("command") else (),
    }


ATTEST = ("true", "false", "provenance")


def _attest(value: Any, where: str) -> str:
    """Return one of ``ATTEST``."""
    text = str(value).lower() if isinstance(value, bool) else _text(value, where) or "true"
    known = _WORDS.get(text.lower())
    chosen = text if known is None else str(known).lower()
    if chosen not in ATTEST:
        raise SettingsError(_("{where} is {value!r}", where=where, value=chosen), nearest(chosen, ATTEST))
    return chosen


SIGN = ("key",)


def _sign(value: Any, where: str) -> dict[str, Any]:
    """Return ``key``, the path of a private key; {} for none."""
    data = _options(value, where, "key", SIGN)
    return {"key": _text(data["key"], f"{where}.key")} if data.get("key") else {}


_SERVER_KEYS = ("host", "user", "port", "remote_root", "name")


def _servers(value: Any, where: str) -> tuple[Any, ...]:
    """Check the types of ``servers``; ``Target`` checks the values."""
    items = _items(value, where)
    targets(items)
    return tuple(items)


def targets(items: Sequence[Any]) -> tuple[Target, ...]:
    targets: list[Target] = []
    for item in items:
        target = item if isinstance(item, Target) else target_of(item)
        if target.name in [other.name for other in targets]:
            raise SettingsError(_("server {name} is listed twice", name=target.name))
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
    "approve": _approve,
    "integer": _integer,
    "boolean": _boolean,
    "list": _list,
    "branches": _branches,
    "map": _map,
    "freeze": _freeze,
    "notify": _notify,
    "program": _program,
    "command": _release,
    "check": _check,
    "drain": _drain,
    "attest": _attest,
    "sign": _sign,
    "servers": _servers,
    "environments": _environments,
}


def refuse_unknown(data: Mapping[Any, Any], known: Sequence[str], where: str) -> None:
    for name in data:
        if name not in known:
            raise SettingsError(_("unknown key {name!r} in {where}", name=name, where=where), nearest(str(name), known))
