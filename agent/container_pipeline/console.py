"""What a person sees: lines on stderr, a bar on a terminal, sparse plain lines in a log. Secrets never get through."""

from __future__ import annotations

import base64
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from container_pipeline.errors import PipelineError
from container_pipeline.i18n import _
from container_pipeline.model import Secret

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

#: Seconds between two lines about one task in a log.
LOG_INTERVAL = 10.0


class Task(Protocol):
    """Something with a length that goes on for a while; amounts are bytes or pieces, as the task's unit says."""

    def advance(self, amount: int) -> None: ...

    def total(self, amount: int) -> None: ...


class Redactor:
    """Replaces every known secret, as it is, in Base64 and URL-encoded, by ``***``."""

    def __init__(self) -> None:
        self._forms: set[str] = set()

    def add(self, secrets: Iterable[Secret]) -> None:
        for secret in secrets:
            text = secret.reveal()
            if len(text) >= 3:
                encoded = base64.b64encode(text.encode()).decode().rstrip("=")
                self._forms.update((text, encoded, quote(text, safe="")))

    def __call__(self, text: str) -> str:
        for form in sorted(self._forms, key=len, reverse=True):
            text = text.replace(form, "***")
        return text

    def within(self, data: Any) -> Any:
        """Return JSON's data with the secrets of its texts replaced: once it is written, quotes and backslashes hide them.

        Names stay: they are this product's own, even where a password is such a word.
        """
        if isinstance(data, dict):
            return {name: self.within(value) for name, value in data.items()}
        if isinstance(data, (list, tuple)):
            return [self.within(value) for value in data]
        return self(data) if isinstance(data, str) else data


class Console:
    """Writes for people. ``verbosity``: -1 quiet (errors and results only), 0 normal, 1 verbose."""

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
        """Write one line where -v asks for it."""
        if self.verbosity >= 1:
            self._write(text)

    def error(self, text: str) -> None:
        """Write one line, always."""
        self._write(text, "31")

    def warning(self, text: str) -> None:
        self._write(text, "33")

    def result(self, text: str) -> None:
        """Write what the command was called for to ``out``: stdout, or stderr where JSON takes that."""
        with self._lock:
            print(self.redact(text), file=self.out, flush=True)

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
        """Show how far a long piece of work is: a bar on a terminal, else a line every ten seconds.

        ``unit`` is "B" for bytes (with rate and time left) or the name of what is counted.
        """
        if self.interactive and self.verbosity >= 0:
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

        columns: list[Any] = [TextColumn("{task.description}"), BarColumn()]
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
    """A task as a bar of a terminal."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def advance(self, amount: int) -> None:
        self._progress.advance(self._task, amount)

    def total(self, amount: int) -> None:
        self._progress.update(self._task, total=amount)


class LogTask:
    """A task as sparse lines of a log; says nothing about what is over within ten seconds."""

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
                "{size} to go, {seconds} s left", size=human_size(left), seconds=round(left / max(rate, 1))
            )
        return text


def human_size(size: int) -> str:
    """Return a number of bytes as people read it: 1,000 bytes are one kB."""
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
    """Return the columns that ``text`` takes on a terminal: two for each wide East Asian character."""
    import unicodedata

    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def unexpected(error: Exception, console: Console) -> PipelineError:
    """Return what nobody foresaw as one sentence; the trace is shown with -v."""
    import traceback

    for line in "".join(traceback.format_exception(type(error), error, error.__traceback__)).splitlines():
        console.detail(line)
    text = f"{type(error).__name__}: {error}".splitlines()[0]
    return PipelineError(
        _("unexpected {text}", text=text), _("run it again with -v for the trace, and report it with that")
    )
