"""Servers by OpenSSH's client: one connection per server and command, everything that is secret or long on stdin.

ssh(1) reads the user's own configuration, agent, jump hosts and known hosts. What is to be done on a server travels as one POSIX
sh program; its answers are lines.
"""

from __future__ import annotations

import os
import selectors
import shutil
import subprocess
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Callable

from container_pipeline.errors import ServerError
from container_pipeline.i18n import _
from container_pipeline.model import Target

#: Seconds: to connect, between two signs of life to the server, and that a stopped program gets to clean up.
CONNECT_TIMEOUT = 10
HEARTBEAT = 5.0
PATIENCE = 2.5

#: Reads the program as one line, newlines as \001, so that not one byte of what follows it is taken. A constant.
BOOTSTRAP = r"""exec sh -c 'IFS= read -r program && eval "$(printf %s "$program" | tr "\001" "\n")"'"""

#: What of the environment ssh and its helpers need; a build's own variables, secrets among them, are not theirs.
_ENVIRONMENT = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "KRB5CCNAME",
    "XDG_RUNTIME_DIR",
)


@dataclass(frozen=True)
class Access:
    """How to log in to servers, beside what the user's ssh configuration says."""

    key: Path | None = None
    config: Path | None = None
    known_hosts: Path | None = None
    accept_new: bool = False
    connect_timeout: int = CONNECT_TIMEOUT

    def command(self, target: Target) -> list[str]:
        """Return the command line. It holds no secret, and nothing in it is spliced into a shell."""
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": str(self.connect_timeout),
            "ServerAliveInterval": "5",
            "ServerAliveCountMax": "4",
            "StrictHostKeyChecking": "accept-new" if self.accept_new else "yes",
            "ControlMaster": "no",
            "ClearAllForwardings": "yes",
            "ForwardAgent": "no",
        }
        if self.key:
            options["IdentityFile"] = _quoted(self.key)
            options["IdentitiesOnly"] = "yes"
        if self.known_hosts:
            options["UserKnownHostsFile"] = _quoted(self.known_hosts)
        command = ["ssh", "-T"] + (["-F", str(self.config)] if self.config else [])
        for name, value in options.items():
            command += ["-o", f"{name}={value}"]
        command += ["-p", str(target.port)] if target.port else []
        command += ["-l", target.user] if target.user else []
        return [*command, "--", target.host, BOOTSTRAP]


def _quoted(path: Path) -> str:
    """Return a path as an option's value: a ``%`` would begin one of ssh's own tokens (ssh_config(5), TOKENS)."""
    return '"' + str(path).replace("%", "%%") + '"'


@dataclass
class Ending:
    """How a program on a server ended: its last word, "" where it never came, and what ssh itself said."""

    said: str = ""
    connected: bool = False
    errors: deque[str] = field(default_factory=lambda: deque(maxlen=20))


class Session:
    """One program on one server. ``stop`` may be called from any thread: the program then cleans up and ends."""

    def __init__(self, target: Target, access: Access) -> None:
        self.target = target
        self._command = access.command(target)
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()

    def run(self, program: str, payload: bytes, hear: Callable[[str], None]) -> Ending:
        """Run ``program`` with ``payload`` on its stdin; ``hear`` gets each line of stdout as it comes.

        A line ``::end …`` is kept as the ending's ``said``. Raises ServerError where there is no ssh here.
        """
        if not shutil.which("ssh"):
            raise ServerError(_("there is no ssh on this machine"), _("install OpenSSH's client"))
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        with subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        ) as process:
            try:
                return self._talk(process, program.replace("\n", "\1").encode() + b"\n" + payload, hear)
            finally:
                process.kill()

    def _talk(self, process: subprocess.Popen[bytes], pending: bytes, hear: Callable[[str], None]) -> Ending:
        if not (process.stdin and process.stdout and process.stderr):
            raise RuntimeError("ssh has no pipes")
        ending = Ending()
        reader, errors = _Lines(process.stdout), _Lines(process.stderr)
        deadline = 0.0
        # The last word said, the program only cleans up after itself: that needs no listener.
        with selectors.DefaultSelector() as selector:
            writer = _Writer(process.stdin, pending, selector)
            selector.register(process.stdout, selectors.EVENT_READ, reader.read)
            selector.register(process.stderr, selectors.EVENT_READ, errors.read)
            while (reader.open or errors.open) and not ending.said:
                if self._stopped.is_set() and not deadline:
                    writer.close()
                    deadline = time.monotonic() + PATIENCE
                if deadline and time.monotonic() > deadline:
                    break
                writer.beat()
                for key, _events in selector.select(0.2):
                    if not key.data():
                        selector.unregister(key.fileobj)
                ending.errors.extend(errors.take())
                for line in reader.take():
                    ending.connected = True
                    if line.startswith("::end "):
                        ending.said = line[len("::end ") :]
                    else:
                        hear(line)
            writer.close()
        if deadline or ending.said:
            process.terminate()
        process.wait()
        return ending


class _Lines:
    """Lines out of a pipe, without ever waiting for one."""

    def __init__(self, pipe: IO[bytes]) -> None:
        os.set_blocking(pipe.fileno(), False)
        self._pipe, self._rest, self.open = pipe, b"", True
        self._lines: list[str] = []

    def read(self) -> bool:
        """Read what is there; False at the end."""
        data = os.read(self._pipe.fileno(), 65536)
        self.open = bool(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        if not data and self._rest:
            lines, self._rest = [*lines, self._rest], b""
        self._lines += [line.decode(errors="replace").rstrip("\r") for line in lines]
        return self.open

    def take(self) -> list[str]:
        lines, self._lines = self._lines, []
        return lines


class _Writer:
    """Feeds a pipe as fast as it takes, then a newline every few seconds as the sign of life."""

    def __init__(self, pipe: IO[bytes], pending: bytes, selector: selectors.BaseSelector) -> None:
        os.set_blocking(pipe.fileno(), False)
        self._pipe, self._selector = pipe, selector
        self._feed(pending)

    def _feed(self, data: bytes) -> None:
        self._pending = memoryview(data)
        self._beat = time.monotonic()
        self._selector.register(self._pipe, selectors.EVENT_WRITE, self.write)

    def beat(self) -> None:
        """Give a sign of life where nothing has been said for a while."""
        if not self._pending and not self._pipe.closed and time.monotonic() - self._beat > HEARTBEAT:
            self._feed(b"\n")

    def write(self) -> bool:
        """Write what the pipe takes at once; False where there is no more."""
        self._beat = time.monotonic()
        try:
            self._pending = self._pending[os.write(self._pipe.fileno(), self._pending) :]
        except BlockingIOError:
            return True
        except BrokenPipeError:
            # The other pipes tell the end.
            self._pending = memoryview(b"")
        return bool(self._pending)

    def close(self) -> None:
        """End of stdin: to the program it means that nobody waits for it any more."""
        if self._pending:
            self._selector.unregister(self._pipe)
            self._pending = memoryview(b"")
        self._pipe.close()
