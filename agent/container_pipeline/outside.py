"""Input from outside: text is made safe to show; JSON, YAML and XML are read within bounds, and their types are checked.

Each reader returns a value of the expected type or raises Unreadable; the caller adds the name of the source.
Sizes are in characters or bytes, depths in levels, counts in values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from container_pipeline.i18n import _

if TYPE_CHECKING:
    from pathlib import Path
    from xml.etree import ElementTree as ET


T = TypeVar("T")

#: Bounds of one document. Distribution refuses manifests above 4 MiB; 250,000 values take at most 60 MB of memory.
LARGEST = 8 << 20
DEEPEST = 64
MOST = 250_000
#: Bounds of a YAML file of a project: the reader in pure Python takes a second for 100 kB.
LARGEST_YAML = 1 << 19
MOST_YAML = 20_000

#: Limits in characters: a sentence from outside, and a whole message of ours.
QUOTED = 300
MESSAGE = 2000

#: ECMA-48: control sequences, control strings (the text of an unterminated one stays), other escape sequences.
_COLOUR = r"(?:\x1b\[|\x9b)[0-9;:]*m"
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])(?:[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c))?"
    r"|\x1b[ -/]*[0-~]"
)
_COLOURS = re.compile(_COLOUR)
#: C0, C1, DEL, lone surrogates, and characters that change a line's direction or end it (Unicode: Bidi_Control, Zl, Zp).
UNSAFE = "\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufff9-\ufffb"
_CONTROL = re.compile(f"[{UNSAFE}]")


#: Longest number that is parsed: int() and float() accept more, but need time that grows with the square of the length.
_LONG_NUMBER = re.compile("[-+]?(?:0x[0-9a-fA-F_]{100,}|[0-9][0-9_:.]{99,})")


class Unreadable(ValueError):  # noqa: N818 - not yet an error: the caller makes one of it, with the name of the source
    """A document that is too large, too deep, malformed or of the wrong type; ``line`` is 1-based, 0 if unknown."""

    def __init__(self, problem: str, line: int = 0) -> None:
        super().__init__(short(problem))
        self.problem = short(problem)
        self.line = line

    def place(self, name: str) -> str:
        """Return the place in the file ``name``, such as ``name:12``."""
        return f"{name}:{self.line}" if self.line else name


def printable(text: str) -> str:
    """Return ``text`` without escape sequences; other control characters become U+FFFD, except newlines and tabs."""
    if text.isprintable():
        return text
    text = _SEQUENCE.sub("", text.replace("\r\n", "\n"))
    return _CONTROL.sub("\ufffd", text.rstrip("\r"))


def coloured(text: str) -> str:
    """Return ``text`` like ``printable``, but keep its colours (ECMA-48, SGR) and reset them at its end."""
    parts = _COLOURS.split(text)
    if len(parts) == 1:
        return printable(text)
    colours = ["\x1b[" + found.lstrip("\x1b[\x9b") for found in _COLOURS.findall(text)]
    return printable(parts[0]) + "".join(map("".join, zip(colours, map(printable, parts[1:])))) + "\x1b[0m"


def short(text: object, limit: int = QUOTED) -> str:
    """Return ``text`` as one safe line of at most ``limit`` characters, without the middle if it is longer."""
    found = str(text)
    if len(found) <= limit and found.isprintable() and "  " not in found:
        return found.strip(" ")
    if len(found) > 4 * limit:
        found = found[: 2 * limit] + found[-2 * limit :]
    found = " ".join(printable(found).split())
    if len(found) <= limit:
        return found
    tail = limit // 3
    return f"{found[: limit - tail - 3]} … {found[-tail:]}"


@overload
def pick(data: Any, name: str, kind: type[T]) -> T: ...
@overload
def pick(data: Any, name: str, kind: type[T], default: T) -> T: ...
def pick(data: Any, name: str, kind: type[T], default: T | None = None) -> T:
    """Return ``data[name]`` if it is of ``kind``, else ``default`` or an empty value; a boolean is not a number."""
    value = data.get(name) if isinstance(data, dict) else None
    fits = isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool)
    return value if fits else kind() if default is None else default  # type: ignore[return-value]


def maps(data: Any, name: str) -> list[dict[str, Any]]:
    """Return the maps in the list ``data[name]``."""
    return [entry for entry in pick(data, name, list) if isinstance(entry, dict)]


def seconds(value: str) -> float | None:
    """Return the seconds of a Retry-After header in either form (RFC 9110, 10.2.3), None if it is neither."""
    value = value.strip()
    if re.fullmatch("[0-9]{1,9}", value):
        return float(value)
    if len(value) > 64:
        return None
    import time
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, LookupError, OverflowError):
        return None


def read_file(path: Path, largest: int) -> bytes:
    """Return a file's bytes; raises OSError, or Unreadable for a file above the limit."""
    with path.open("rb") as file:
        data = file.read(largest + 1)
    _bound(len(data), largest)
    return data


def read_json(
    data: str | bytes, kind: type[T], largest: int = LARGEST, most: int = MOST, *, spelled: bool = False
) -> T:
    """Return a JSON document whose root is of ``kind``, with ``spelled`` its numbers as texts; raises Unreadable."""
    _bound(len(data), largest)
    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
        if text.count(",") + text.count("[") + text.count("{") > most:
            raise Unreadable(_("it has more than {count} values", count=most))
        whole, real = (str, str) if spelled else (_integer, _float)
        found = json.loads(text, parse_int=whole, parse_float=real, parse_constant=_float)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError as error:
        raise _too_deep() from error
    except UnicodeError as error:
        raise Unreadable(_("it is not UTF-8")) from error
    except json.JSONDecodeError as error:
        raise Unreadable(_("it is not JSON: {problem}", problem=error.msg), error.lineno) from error
    if not isinstance(found, kind):
        raise Unreadable(_("it is JSON, but not in the expected form"))
    if text.count("[") + text.count("{") > DEEPEST:
        _check_depth(found, _below_json)
    return found


def _integer(text: str) -> int:
    if len(text) > 20:
        raise Unreadable(_("a number in it is too large"))
    return int(text)


def _float(text: str) -> float:
    found = float(text) if len(text) <= 64 else float("inf")
    if found - found != 0:  # infinity or NaN
        raise Unreadable(_("a number in it is too large"))
    return found


def _below_json(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _check_depth(root: Any, below: Callable[[Any], Iterable[Any]]) -> None:
    level = [root]
    for _depth in range(DEEPEST):
        level = [child for value in level for child in below(value)]
        if not level:
            return
    raise _too_deep()


def _bound(size: int, largest: int) -> None:
    if size > largest:
        raise Unreadable(_("it is larger than {size} kB", size=largest // 1000))


def _too_deep() -> Unreadable:
    return Unreadable(_("it is nested more than {depth} levels deep", depth=DEEPEST))


def read_xml(text: str) -> ET.Element:
    """Return an XML document; raises Unreadable, also for one with a document type."""
    from xml.etree import ElementTree as ET

    _bound(len(text), LARGEST)
    if text.count("<") > MOST:
        raise Unreadable(_("it has more than {count} values", count=MOST))
    if "<!DOCTYPE" in text:
        raise Unreadable(_("it declares a document type"))
    try:
        root = ET.fromstring(text)  # noqa: S314 - without a document type there are no entities
    except (ET.ParseError, ValueError) as error:
        raise Unreadable(str(error), getattr(error, "position", (0,))[0]) from error
    _check_depth(root, list)
    return root


def read_yaml(
    text: str | bytes,
    loader: Any = None,
    largest: int = LARGEST_YAML,
    most: int = MOST_YAML,
    *,
    nodes: bool = False,
    check: Callable[[Any], None] | None = None,
) -> Any:
    """Return a YAML document read with ``loader`` (PyYAML's safe one) and node classes ``nodes``; raises Unreadable.

    ``check`` gets the root node before any object is built, and may raise YAMLError.
    Events are counted, including those that aliases repeat, before any object is built.
    """
    import yaml

    _bound(len(text), largest)
    base = loader or yaml.SafeLoader
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8-sig")
        budget = _Budget(most)
        if hasattr(base, "get_event") and issubclass(base, yaml.parser.Parser):
            return _read(_watched(base, budget)(text), nodes, check)
        for event in yaml.parse(text, base):  # libyaml composes inside C, where events cannot be counted
            budget.see(event)
        return _read(base(text), nodes, check)
    except Unreadable:
        raise
    except UnicodeError as error:
        raise Unreadable(_("it is not UTF-8")) from error
    except yaml.reader.ReaderError as error:
        code = error.character if isinstance(error.character, int) else ord(error.character)
        raise Unreadable(_("YAML does not allow character {code}", code=f"U+{code:04X}")) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        if isinstance(error, yaml.composer.ComposerError) and "another document" in str(problem):
            problem = _("it holds more than one document")
        raise Unreadable(str(problem), mark.line + 1 if mark else 0) from error
    except _CONSTRUCTORS as error:
        raise Unreadable(str(error) or type(error).__name__) from error


def check_keys(node: Any, visit: Callable[[Any], None] = lambda _node: None) -> None:
    """Raise YAMLError for duplicate keys below a root node, of which PyYAML takes the last, and for keys that are not text.

    This runs before construction, because merge keys produce duplicates that nobody wrote. ``visit`` gets each node once.
    """
    import yaml

    seen: set[int] = set()

    def mistake(problem: str, key: Any) -> Exception:
        return yaml.constructor.ConstructorError(None, None, problem, key.start_mark)

    def below(node: Any) -> None:
        if id(node) in seen:
            return
        seen.add(id(node))
        keys = set()
        for item in node.value if isinstance(node.value, list) else ():
            key, value = item if isinstance(item, tuple) else (None, item)
            if key is not None and isinstance(key.value, list):
                raise mistake(_("a key must be text, not a list or a map"), key)
            if key is not None and key.value in keys:
                raise mistake(_("the key {name!r} appears twice", name=key.value), key)
            keys.add(key and key.value)
            below(value)
        visit(node)

    below(node)


def _read(loader: Any, nodes: bool, check: Callable[[Any], None] | None) -> Any:
    try:
        node = loader.get_single_node()
        if check and node is not None:
            check(node)
        if nodes or node is None:
            return node
        try:
            return loader.construct_document(node)
        except _CONSTRUCTORS as error:
            raise Unreadable(str(error) or type(error).__name__, node.start_mark.line + 1) from error
    finally:
        loader.dispose()


#: PyYAML raises these besides its own errors, because chr(), int(), float() and datetime.date() do.
_CONSTRUCTORS = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


def _watched(base: Any, budget: _Budget) -> Any:
    class Watched(base):  # type: ignore[misc]
        def get_event(self) -> Any:
            event = super().get_event()
            budget.see(event)
            return event

    return Watched


class _Budget:
    """Counts the values of a YAML document event by event; an alias counts as much as the values it repeats."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0
        self._open: list[tuple[str | None, int]] = []
        self._weights: dict[str, int] = {}

    def see(self, event: Any) -> None:
        """Take the next event; raises Unreadable if the document exceeds a bound."""
        take = _EVENTS.get(type(event).__name__)
        if take:
            take(self, event)
            if self._count > self._most:
                raise Unreadable(_("it has more than {count} values", count=self._most), _line(event))

    def _scalar(self, event: Any) -> None:
        if event.implicit[0] and _LONG_NUMBER.fullmatch(event.value):
            raise Unreadable(_("a number in it is too large"), _line(event))
        self._value(event)

    def _value(self, event: Any) -> None:
        self._count += 1
        if event.anchor:
            self._weights[event.anchor] = 1

    def _alias(self, event: Any) -> None:
        if any(anchor == event.anchor for anchor, _begun in self._open):
            raise Unreadable(_("the anchor {name} contains itself", name=event.anchor), _line(event))
        self._count += self._weights.get(event.anchor, 1)

    def _begin(self, event: Any) -> None:
        self._open.append((event.anchor, self._count))
        if len(self._open) > DEEPEST:
            raise Unreadable(str(_too_deep()), _line(event))
        self._value(event)

    def _end(self, _event: Any) -> None:
        anchor, begun = self._open.pop()
        if anchor:
            self._weights[anchor] = self._count - begun


#: By the names of their classes, because PyYAML is imported only where it is used.
_EVENTS: dict[str, Callable[[_Budget, Any], None]] = {
    "ScalarEvent": _Budget._scalar,
    "AliasEvent": _Budget._alias,
    "SequenceStartEvent": _Budget._begin,
    "MappingStartEvent": _Budget._begin,
    "SequenceEndEvent": _Budget._end,
    "MappingEndEvent": _Budget._end,
}


def _line(event: Any) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0
