"""Runs programs for their output, which is bounded in bytes and time; they end with all their children."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from container_pipeline.outside import LARGEST

#: Seconds; most programs need a tenth of one.
TIMEOUT = 10
#: Seconds between a child's SIGTERM and our own: Jenkins' abort ends children first.
_ABORT_GRACE = 2.0


def wait_for_abort() -> None:
    """Wait a moment if a child ended for no reason of its own: the signal that ended it may reach us too."""
    time.sleep(_ABORT_GRACE)


class Flooded(Exception):  # noqa: N818 - not yet an error: the caller makes one of it, with the name of the program
    """A program printed more than was asked for."""


def ask(
    command: Sequence[str],
    environ: Mapping[str, str] | None = None,
    *,
    folder: Path | None = None,
    given: bytes = b"",
    timeout: float | None = None,
) -> subprocess.CompletedProcess[bytes] | None:
    """Run a program with ``given`` as its input; return None if it is missing, hangs or floods."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired, Flooded):
        return finish(command, environ, folder=folder, given=given, timeout=TIMEOUT if timeout is None else timeout)
    return None


def finish(
    command: Sequence[str],
    environ: Mapping[str, str] | None,
    *,
    folder: Path | None,
    given: bytes = b"",
    timeout: float,
    largest: int = LARGEST,
    mark: str = "",
) -> subprocess.CompletedProcess[bytes]:
    """Run a program; raises OSError if it cannot start, TimeoutExpired if it hangs, Flooded beyond ``largest`` bytes.

    ``mark`` is a text of its environment by which processes are found that have left its process group.
    """
    import tempfile

    child = None
    with tempfile.TemporaryFile() as stdin:
        stdin.write(given)
        stdin.seek(0)
        try:
            end = time.monotonic() + timeout
            child = subprocess.Popen(
                command,
                cwd=folder,
                env=environ,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
            out, err = map(bytes, _output(child, end, largest))
            status = child.wait(max(0.1, end - time.monotonic()))
            return subprocess.CompletedProcess(command, status, out, err)
        finally:
            if child:
                with child, contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
            if mark:  # also without a child: a signal may have ended Popen() after it started one
                _end_marked(mark.encode())


def _end_marked(mark: bytes) -> None:
    """End every process whose environment contains ``mark``, as Linux shows it; one may start another meanwhile."""
    for _round in range(50):
        found = {int(path.name): _has(path, mark) for path in Path("/proc").glob("[0-9]*")}
        for pid in (pid for pid, marked in found.items() if marked):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if not any(marked is not False for marked in found.values()):
            return


def _has(process: Path, mark: bytes) -> bool | None:
    """Return whether a process has ``mark`` in its environment; None while it begins a program, when Linux shows none."""
    with contextlib.suppress(OSError):
        environ = (process / "environ").read_bytes()
        if environ:
            return mark in environ
        # proc(5): its memory in bytes (0 once it has ended), and where its environment begins and ends.
        fields = (process / "stat").read_bytes().rpartition(b")")[2].split()
        memory, begin, end = int(fields[20]), int(fields[47]), int(fields[48])
        return None if memory and not 0 < begin == end else False
    return False


def _output(child: subprocess.Popen[bytes], end: float, largest: int) -> list[bytearray]:
    """Return the program's stdout and stderr once both are closed; raises TimeoutExpired or Flooded beyond the bounds."""
    pipes = [pipe for pipe in (child.stdout, child.stderr) if pipe]
    output = [bytearray() for _pipe in pipes]
    with selectors.DefaultSelector() as selector:
        for pipe, kept in zip(pipes, output):
            selector.register(pipe, selectors.EVENT_READ, kept)
        while selector.get_map():
            ready = selector.select(max(0.0, end - time.monotonic()))
            if not ready:
                raise subprocess.TimeoutExpired(child.args, end)
            if sum(map(len, output)) > largest:
                raise Flooded
            for key, _events in ready:
                data = os.read(key.fd, 65536)
                key.data.extend(data)
                if not data:
                    selector.unregister(key.fileobj)
    return output
