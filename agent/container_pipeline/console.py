"""Output for people: lines on stderr, a bar on a terminal, sparse plain lines in a log. Secrets are always redacted."""

from __future__ import annotations

import base64
import json
import os
import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import IO, TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, quote_plus

from container_pipeline.errors import PipelineError
from container_pipeline.i18n import _
from container_pipeline.model import Secret
from container_pipeline.outside import coloured, printable, short

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

#: Seconds between two lines about one task in a log.
LOG_INTERVAL = 10.0


class Task(Protocol):
    """A long task with a known length; amounts are in the task's unit, bytes or pieces."""

    def advance(self, amount: int) -> None: ...

    def total(self, amount: int) -> None: ...


class Redactor:
    """Makes text safe to show: removes control characters and replaces every known secret, in any encoding, with ``***``."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        #: Longest first: each form of a secret, and the same form without blanks.
        self._forms: list[tuple[str, str]] = []

    def add(self, secrets: Iterable[Secret]) -> None:
        for secret in secrets:
            text = secret.reveal()
            # A secret of several lines can come back line by line.
            lines = [line.strip() for line in text.splitlines() if len(line.strip()) >= _CUT]
            self._known.update(form for part in (text, *lines) if len(part) >= 3 for form in forms(part))
        self._forms = [(form, "".join(form.split())) for form in sorted(self._known, key=len, reverse=True)]

    def __call__(self, text: str) -> str:
        return self._hide(printable(text))

    def coloured(self, text: str) -> str:
        """Return ``text`` with its colours, or without them if it contains a secret, which colours could hide."""
        plain = printable(text)
        hidden = self._hide(plain)
        return coloured(text) if hidden == plain else hidden

    def within(self, data: Any) -> Any:
        """Return JSON data with every string redacted. In encoded JSON, quotes and backslashes could hide a secret.

        Keys are kept: they are this product's own, even if a password equals one of them.
        """
        if isinstance(data, str):
            return self(data)
        if isinstance(data, dict):
            return {name: self.within(value) for name, value in data.items()}
        if isinstance(data, (list, tuple)):
            if data and all(isinstance(value, str) for value in data):
                return self.lines(data)
            return [self.within(value) for value in data]
        return data

    def lines(self, texts: Sequence[str]) -> list[str]:
        """Return the redacted lines, also when a secret spans several of them."""
        apart, joined = [self(text) for text in texts], self("\n".join(texts))
        return apart if joined == "\n".join(apart) else joined.split("\n")

    def _hide(self, text: str) -> str:
        if not self._forms:
            return text
        squeezed = "".join(text.split())
        for form, bare in self._forms:
            if form in text:
                text = text.replace(form, "***")
            elif len(bare) >= _CUT and bare in squeezed:
                # The secret was wrapped, or split at a newline.
                text = re.sub(r"\s*".join(map(re.escape, bare)), "***", text)
            else:
                continue
            squeezed = "".join(text.split())
        return _PIECE.sub(lambda piece: self._hide_part(piece[0]), text)

    def _hide_part(self, piece: str) -> str:
        """Hide the part of a secret that begins on the previous line or continues on the next, if it is half of it or more."""
        line = piece.strip()
        for form, _bare in self._forms:
            if not len(form) >= 2 * _CUT or len(line) < _CUT:
                break
            least = max(_CUT, len(form) // 2)
            sizes = range(min(len(form), len(line)), least - 1, -1)
            if len(line) >= 2 * _CUT and line in form:
                return piece.replace(line, "***")
            if line[-_CUT:] in form and (size := next((n for n in sizes if line.endswith(form[:n])), 0)):
                return piece.replace(line, line[:-size] + "***")
            if line[:_CUT] in form and (size := next((n for n in sizes if line.startswith(form[-n:])), 0)):
                return piece.replace(line, "***" + line[size:])
        return piece


#: Shortest part of a secret, in characters, that is searched for; and the pieces into which a text may split one.
_CUT = 6
_PIECE = re.compile("[^\n…]+")


def forms(text: str) -> list[str]:
    """Return ``text`` itself and in each encoded form in which programs print it."""
    import html
    import shlex

    data = text.encode("utf-8", "surrogateescape")
    found = [text, data.hex(), data.hex().upper(), repr(text)[1:-1], shlex.quote(f" {text}")[2:-1], html.escape(text)]
    for escaped in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
        # Go escapes three more characters (encoding/json, HTMLEscape), PHP and old Java a fourth.
        marked = re.sub("[<>&]", lambda sign: f"\\u{ord(sign[0]):04x}", escaped)
        found += [escaped, marked, escaped.replace("/", "\\/")]
    for encoded in (
        quote(data, safe=""),
        quote(data),
        quote_plus(data),
        quote_plus(data, safe="/"),
        quote(data, "/:@"),
    ):
        found += [encoded, re.sub("%[0-9A-F]{2}", lambda code: code[0].lower(), encoded)]
    found += ["".join(f"%{byte:02X}" for byte in data), "".join(f"\\x{byte:02x}" for byte in data)]
    found += [base64.b64encode(data).decode().rstrip("="), base64.urlsafe_b64encode(data).decode().rstrip("=")]
    for before in range(3):
        # Encoded with other text, as in "user:password": use only the characters that the neighbours do not change.
        inner = base64.b64encode(bytes(before) + data).decode()[(0, 2, 3)[before] : (before + len(data)) * 8 // 6]
        found += [inner, inner.replace("+", "-").replace("/", "_")] if len(inner) >= 4 else []
    return [printable(form) for form in found if len(form) >= 3]


class Console:
    """Writes output for people. ``verbosity``: -1 quiet (errors and results only), 0 normal, 1 verbose."""

    def __init__(self, stream: IO[str] | None = None, out: IO[str] | None = None, verbosity: int = 0) -> None:
        self.stream = sys.stderr if stream is None else stream
        self.out = sys.stdout if out is None else out
        self.verbosity = verbosity
        self.redact = Redactor()
        self._lock = threading.Lock()
        self._progress: Progress | None = None

    @property
    def interactive(self) -> bool:
        return self.stream.isatty() and os.environ.get("TERM") != "dumb"

    @property
    def colours(self) -> bool:
        return self.interactive and not os.environ.get("NO_COLOR")

    def line(self, text: str) -> None:
        """Write one line, unless quiet."""
        if self.verbosity >= 0:
            self._write(text)

    def detail(self, text: str) -> None:
        """Write one line if -v is set."""
        if self.verbosity >= 1:
            self._write(text)

    def error(self, text: str) -> None:
        """Write one line, always."""
        self._write(text, "31")

    def warning(self, text: str) -> None:
        self._write(text, "33")

    def result(self, text: str) -> None:
        """Write the command's result to ``out``: stdout, or stderr if stdout carries JSON."""
        self._put(self.redact(text))

    def log(self, prefix: str, colour: int, text: str) -> None:
        """Write a line of a service's log to ``out``; on a terminal, ``prefix`` is coloured and the line keeps its own colours."""
        if self.colours and self.out.isatty():
            self._put((f"\033[{colour}m{self.redact(prefix)}\033[0m" if prefix else "") + self.redact.coloured(text))
        else:
            self._put(self.redact(prefix + text))

    def _put(self, text: str) -> None:
        with self._lock:
            print(text, file=self.out, flush=True)

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Write a table to ``out``: aligned columns, wide characters counted as a terminal shows them."""
        self.result(format_table(heads, rows))

    def _write(self, text: str, colour: str = "") -> None:
        text = self.redact(text)
        if colour and self.colours:
            text = f"\033[{colour}m{text}\033[0m"
        with self._lock:
            if self._progress is not None:
                from rich.text import Text

                self._progress.console.print(Text.from_ansi(text), soft_wrap=True)
            else:
                print(text, file=self.stream, flush=True)

    @contextmanager
    def task(self, title: str, total: int = 0, unit: str = "B") -> Iterator[Task]:
        """Show the progress of a long task: a bar on a terminal if rich is installed, else a line every ten seconds.

        ``unit`` is "B" for bytes (with rate and time left) or the name of what is counted.
        """
        title = self.redact(title)
        if self.interactive and self.verbosity >= 0 and find_spec("rich"):
            with self._bar(title, total, unit) as task:
                yield task
        else:
            yield LogTask(self, title, total, unit)

    @contextmanager
    def _bar(self, title: str, total: int, unit: str) -> Iterator[Task]:
        progress = self._progress
        if progress is not None:
            yield BarTask(progress, progress.add_task(title, total=total or None))
            return
        from rich.console import Console as RichConsole
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns: list[Any] = [TextColumn("{task.description}", markup=False), BarColumn()]
        columns += [DownloadColumn(), TransferSpeedColumn()] if unit == "B" else [MofNCompleteColumn()]
        columns.append(TimeRemainingColumn())
        rich = RichConsole(file=self.stream, no_color=not self.colours)
        with Progress(*columns, console=rich, transient=True) as progress:
            self._progress = progress
            try:
                yield BarTask(progress, progress.add_task(title, total=total or None))
            finally:
                self._progress = None


class BarTask:
    """A task shown as a bar on a terminal."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def advance(self, amount: int) -> None:
        self._progress.advance(self._task, amount)

    def total(self, amount: int) -> None:
        self._progress.update(self._task, total=amount)


class LogTask:
    """A task shown as sparse log lines; a task that takes less than ten seconds prints nothing."""

    def __init__(self, console: Console, title: str, total: int, unit: str) -> None:
        self._console, self._title, self._total, self._unit = console, title, total, unit
        self._done = 0
        self._start = self._said = time.monotonic()
        self._lock = threading.Lock()

    def advance(self, amount: int) -> None:
        with self._lock:
            self._done += amount
            now = time.monotonic()
            if now - self._said < LOG_INTERVAL:
                return
            self._said = now
        self._console.line(f"{self._title}: {self._amounts(now)}")

    def total(self, amount: int) -> None:
        self._total = amount

    def _amounts(self, now: float) -> str:
        if self._unit != "B":
            return f"{self._done}/{self._total} {self._unit}" if self._total else f"{self._done} {self._unit}"
        rate = self._done / max(now - self._start, 0.001)
        text = f"{human_size(self._done)}, {human_size(int(rate))}/s"
        if self._total > self._done:
            left = self._total - self._done
            text += ", " + _(
                "{size} left, about {seconds} s", size=human_size(left), seconds=round(left / max(rate, 1))
            )
        return text


def human_size(size: int) -> str:
    """Format a number of bytes for people; 1 kB is 1,000 bytes."""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError("unreachable")


def format_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows as aligned columns with two blanks between them."""
    lines = [list(heads), *(list(row) for row in rows)]
    widths = [max(_width(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(line, widths)).rstrip() for line in lines
    )


def _width(text: str) -> int:
    """Return the width of ``text`` on a terminal in columns; a wide East Asian character takes two."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def unexpected(error: Exception, console: Console) -> PipelineError:
    """Return an unforeseen exception as a one-sentence error; -v shows the traceback."""
    import traceback

    for line in "".join(traceback.format_exception(type(error), error, error.__traceback__)).splitlines():
        console.detail(line)
    text = short(f"{type(error).__name__}: {error}")
    return PipelineError(
        _("unexpected error: {text}", text=text), _("run it again with -v, and report it with the traceback")
    )
