"""Starts daemons, recognises them later, and ends them by id."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from lab.place import LabError

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run(*command: str, stdin: str | None = None, check: bool = True, timeout: float = 120) -> str:
    """Return a short command's output; raises LabError with its last line if it fails."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, env=_environment())
    if check and done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no output"]
        raise LabError(f"{' '.join(command[:4])} … failed: {lines[-1]}")
    return done.stdout


def _environment() -> dict[str, str]:
    path = os.environ.get("PATH", "")
    return {**os.environ, "PATH": f"{path}:{SYSTEM_PATH}" if path else SYSTEM_PATH}


def start(pidfile: Path, command: Sequence[str], log: Path, env: dict[str, str] | None = None) -> int:
    """Start a daemon in its own session, and record its id and start time."""
    for folder in (pidfile.parent, log.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            # Go's garbage collector would otherwise take a quarter of a registry's time.
            env={"GOGC": "400", **(_environment() if env is None else env)},
        )  # fmt: skip
    pidfile.write_text(json.dumps({"pid": child.pid, "started": _start_time(child.pid)}))
    child.returncode = 0  # it should keep running: no warning when this object is deleted
    return child.pid


def alive(pidfile: Path) -> int | None:
    """Return the process id in `pidfile`, if it still is the same process."""
    try:
        noted = json.loads(pidfile.read_text())
        pid = int(noted["pid"])
    except (FileNotFoundError, ValueError, KeyError):
        return None
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # a dead child of ours would stay a zombie
    started = _start_time(pid)
    return pid if started is not None and started == noted["started"] else None


def stop(pidfile: Path, patience: float = 10) -> None:
    """End the process: SIGTERM, then SIGKILL after `patience` seconds (0: at once)."""
    pid = alive(pidfile)
    if pid is not None:
        if patience:
            _signal(pid, signal.SIGTERM)
            if not _until(lambda: alive(pidfile) is None, patience):
                _signal(pid, signal.SIGKILL)
        else:
            _signal(pid, signal.SIGKILL)
        if not _until(lambda: alive(pidfile) is None, 10):
            raise LabError(f"process {pid} ({pidfile.name}) does not end")
    pidfile.unlink(missing_ok=True)


def wait_for(what: str, ready: Callable[[], bool], pidfile: Path, log: Path, seconds: float = 30) -> None:
    """Wait until a daemon responds; raises LabError with its last log line if it dies or stays silent."""
    if _until(lambda: ready() or alive(pidfile) is None, seconds) and alive(pidfile) is not None:
        return
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    raise LabError(f"{what} did not come up; the end of {log}: {lines[-1] if lines else 'nothing'}")


def _start_time(pid: int) -> str | None:
    """Return the start time in clock ticks since boot (proc(5), field 22), which differs if an id is reused."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _until(true: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
