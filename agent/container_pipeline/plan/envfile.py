"""A project's ``.env``: read like `docker run --env-file`, and written so that Compose passes the same values.

Values are raw: quotes, ``$``, ``#`` and backslashes are part of them. Compose, however, unquotes and expands values in a
``.env``, and its generations differ: v2 uses compose-go's ``dotenv``, v1.29 uses python-dotenv, which expands ``${…}`` even
in single quotes. ``render`` writes a form that both read the same, if there is one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from container_pipeline.errors import SettingsError
from container_pipeline.i18n import _
from container_pipeline.outside import Unreadable, read_json

_NAME = r"[A-Za-z_][A-Za-z0-9_.-]*"
#: Values that both read unchanged without quotes.
_PLAIN = r"[A-Za-z0-9_./:@%+,=-][A-Za-z0-9_./:@%+,=\\~^&*()|;<>?!{}\[\]-]*"
#: Linux's MAX_ARG_STRLEN: bytes of one variable, with its terminator.
_LONGEST = 128 * 1024
#: Variables that configure Compose itself; on a server, the folder's name and docker-compose.yml decide instead.
RESERVED = ("COMPOSE_FILE", "COMPOSE_PROJECT_NAME")


def parse(data: bytes, name: str) -> dict[str, str]:
    """Return names and values; raises SettingsError with the line number, never its content."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise SettingsError(_("{file}, line {line} is not UTF-8", file=name, line=number)) from error
    values: dict[str, str] = {}
    lines = [line[:-1] if line.endswith("\r") else line for line in text.split("\n")]
    skip = 0
    for number, line in enumerate(lines, 1):
        if number <= skip:
            continue
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, separator, value = line.lstrip().partition("=")
        if not separator or not re.fullmatch(_NAME, key) or "\0" in value:
            raise SettingsError(
                _("{file}, line {line} is not NAME=value", file=name, line=number),
                _("write one NAME=value per line, without export and without blanks around the ="),
            )
        _refuse_reserved(key, _("{file}, line {line}", file=name, line=number))
        several = several_lines(value, lines[number:])
        if several:
            skip, value = number + several, _unquote("\n".join([value, *lines[number : number + several]]))
        values[key] = value
    if not values:
        raise SettingsError(
            _("{file} is empty", file=name), _("write the service's NAME=value lines into it; ENV=prod is enough")
        )
    return values


def _refuse_reserved(key: str, place: str) -> None:
    if key in RESERVED:
        raise SettingsError(
            _("{place}: {name} would make Compose use another project or file", place=place, name=key),
            _("remove it: the server's folder is the source of truth"),
        )


def parse_json(data: bytes, name: str) -> dict[str, str]:
    """Return names and values of a JSON object; raises SettingsError, which counts its entries and never quotes them."""
    hint = _('print one object of names and values, such as {"ENV": "prod", "PORT": 8080}')
    try:
        # As they are spelled: 1.10 is not 1.1.
        entries = read_json(data.strip(), dict, spelled=True)
    except Unreadable as error:
        raise SettingsError(_("{place} cannot be read: {problem}", place=name, problem=error.problem), hint) from None
    values: dict[str, str] = {}
    for number, (key, value) in enumerate(entries.items(), 1):
        text = ("true" if value else "false") if isinstance(value, bool) else value
        place = _("{file}, entry {number}", file=name, number=number)
        if not isinstance(text, str) or not re.fullmatch(_NAME, key) or "\0" in text:
            raise SettingsError(_("{place} is not a name with a text, a number, true or false", place=place), hint)
        _refuse_reserved(key, place)
        values[key] = text
    if not entries:
        raise SettingsError(_("{file} is empty", file=name), hint)
    return values


def several_lines(value: str, following: Sequence[str]) -> int:
    """Return how many following lines Compose reads as part of a quoted value; 0 for a value of one line.

    A value continues if the next quote ends its line and a line before it is not NAME=value.
    """
    quote = value[:1]
    if quote not in ("'", '"') or re.search(rf"(?<!\\){quote}", value[1:]):
        return 0
    malformed = False
    for count, line in enumerate(following, 1):
        end = re.search(rf"(?<!\\){quote}", line)
        malformed = malformed or not re.fullmatch(rf"\s*({_NAME}=.*|#.*)?", line)
        if end:
            return count if malformed and re.fullmatch(r"\s*(#.*)?", line[end.end() :]) else 0
    return 0


def _unquote(text: str) -> str:
    quote, body = text[0], text[1 : text.rindex(text[0])]
    if quote == "'":
        return body
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t"}.get(found[1], found[1]), body)


def render(values: Mapping[str, str], generation: str) -> bytes:
    """Return the file for Compose ``generation`` "v1" or "v2", or "raw": for Swarm, and for an env_file of ``format: raw``.

    Raises SettingsError for a value of several lines in raw form.
    """
    if generation == "raw":
        for name, value in values.items():
            if len(f"{name}={value}".encode()) >= _LONGEST:
                raise SettingsError(
                    _("{name} in .env is longer than 128 kB, more than a program on Linux can receive", name=name),
                    _("put the value into a file, and list the file under `files:`"),
                )
            if "\n" in value:
                raise SettingsError(
                    _("{name} in .env has several lines", name=name),
                    _("Swarm and `format: raw` read single lines; put the value into a file, or encode it as base64"),
                )
        return "".join(f"{name}={value}\n" for name, value in values.items()).encode()
    quote = _quote_v1 if generation == "v1" else _quote_v2
    return "".join(
        f"{name}={_common(value) or quote(value)}\n" if value else f"{name}=\n" for name, value in values.items()
    ).encode()


def _common(value: str) -> str:
    """Return a form that both generations read as ``value``, or "" if there is none."""
    if re.fullmatch(_PLAIN, value):
        return value
    # In single quotes, both read everything literally except \' (a quote) and, in v1 only, \\ and ${…}.
    if not re.search(r"\\\\|\\'|\\\Z|\$\{|[\r\n]", value):
        return "'" + value.replace("'", r"\'") + "'"
    return ""


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\r", r"\r").replace("\n", r"\n")


def _quote_v2(value: str) -> str:
    return f'"{_escape(value).replace("$", "$$")}"'


def _quote_v1(value: str) -> str:
    """Quote with double quotes; the default of a nameless variable replaces characters that would be read differently."""
    body, last = (value[:-1], value[-1]) if value.endswith("\\") else (value, "")
    escaped = _escape(body).replace("$", "${:-$}")
    return f'"{escaped}{"${:-" + last + "}" if last else ""}"'
