"""Decides which of several servers runs what a deploy runs once, and what the others do meanwhile."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Sequence

from container_pipeline.model import Target


class Once:
    """Lets the first of ``targets`` that gets so far run a command; the others wait for its end. For use from several threads.

    A server that fails before its turn leaves it to the next one. A command that was begun is never begun again: if it fails, or its
    server is lost, all others stop.
    """

    def __init__(self, targets: Sequence[Target]) -> None:
        self._waiting = list(targets)
        self._runner: Target | None = None
        self._done = self._failed = False
        self._lock = threading.Lock()

    def turn(self, target: Target) -> bytes:
        """Return the reply to a server that is ready: assignments for its shell, with ``turn`` run, go, stop or wait."""
        with self._lock:
            if self._runner is None and self._waiting[:1] == [target]:
                self._runner = target
                return b"turn=run\n"
            word = "go" if self._done else "stop" if self._failed else "wait"
            elsewhere = self._runner or self._waiting[0]
            return f"turn={word} elsewhere={shlex.quote(elsewhere.name)}\n".encode()

    def finish(self, target: Target) -> None:
        """Note that the command has succeeded on ``target``."""
        with self._lock:
            self._done = self._done or target == self._runner

    def leave(self, target: Target) -> None:
        """Note that the run on ``target`` has ended."""
        with self._lock:
            self._failed = self._failed or (target == self._runner and not self._done)
            if self._runner is None and target in self._waiting:
                self._waiting.remove(target)
