"""Watches the arguments of every process on this machine while something runs.

It reads ``/proc/*/cmdline`` in a loop, so a process that lives shorter than one turn (about ten milliseconds) can be missed;
that it sees what lives longer is itself tested.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path


class ArgvWatcher:
    """Use as a context manager; ``seen`` then holds the command lines that contained one of ``words``."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = [word.encode() for word in words]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._known: dict[str, bytes] = {}
        self.seen: list[str] = []

    def __enter__(self) -> ArgvWatcher:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.003):
            for pid in filter(str.isdigit, os.listdir("/proc")):
                self._look(pid)

    def _look(self, pid: str) -> None:
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return
        if self._known.get(pid) != line:
            self._known[pid] = line
            if any(word in line for word in self._words):
                self.seen.append(line.replace(b"\0", b" ").decode(errors="replace"))
