"""Runs programs for their output, which is bounded in bytes and time; they end with all their children."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import tempfile
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


def ask(
    command: Sequence[str],
    environ: Mapping[str, str] | None = None,
    *,
    folder: Path | None = None,
    given: bytes = b"",
    timeout: float | None = None,
) -> subprocess.CompletedProcess[bytes] | None:
    """Run a program with ``given`` as its input; return None if it is missing, hangs or floods."""
    timeout = TIMEOUT if timeout is None else timeout
    with tempfile.TemporaryFile() as stdin, contextlib.suppress(OSError, subprocess.TimeoutExpired):
        stdin.write(given)
        stdin.seek(0)
        with subprocess.Popen(
            command,
            cwd=folder,
            env=environ,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as child:
            try:
                end = time.monotonic() + timeout
                out, err = map(bytes, _output(child, end))
                status = child.wait(max(0.1, end - time.monotonic()))
                return subprocess.CompletedProcess(command, status, out, err)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
    return None


def _output(child: subprocess.Popen[bytes], end: float) -> list[bytearray]:
    """Return the program's stdout and stderr once both are closed; raises TimeoutExpired beyond the bounds."""
    pipes = [pipe for pipe in (child.stdout, child.stderr) if pipe]
    output = [bytearray() for _pipe in pipes]
    with selectors.DefaultSelector() as selector:
        for pipe, kept in zip(pipes, output):
            selector.register(pipe, selectors.EVENT_READ, kept)
        while selector.get_map():
            ready = selector.select(max(0.0, end - time.monotonic()))
            if not ready or sum(map(len, output)) > LARGEST:
                raise subprocess.TimeoutExpired(child.args, end)
            for key, _events in ready:
                data = os.read(key.fd, 65536)
                key.data.extend(data)
                if not data:
                    selector.unregister(key.fileobj)
    return output
