"""Runs programs on servers with OpenSSH's client: one connection per server and command; secrets and long data on stdin.

ssh(1) uses the user's configuration, agent, jump hosts and known hosts. A server gets one POSIX sh program, which responds
in lines that begin with a random word of this run. Everything before that word is ignored, since a login shell's start file
may print anything.
"""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Callable, Optional

from container_pipeline.errors import ServerError
from container_pipeline.i18n import _
from container_pipeline.model import Target

#: Limits in seconds: to connect; from then until the program starts; without a line from it; between two keep-alives to the
#: server; for a stopped program to clean up; for ssh to end.
CONNECT_TIMEOUT = 10
START_TIMEOUT = 30
SILENCE = 120.0
HEARTBEAT = 5.0
PATIENCE = 2.5
#: Limits in bytes: one line, whose rest is dropped; all output of a login shell; all output of a program.
MAX_LINE = 2**20
MAX_BEFORE = 2**20
MAX_OUTPUT = 64 * 2**20
LINE_COST = 200

#: Messages of ssh(1) for a connection that ended before the program.
_CUT = re.compile(
    "closed by remote host|not responding|[Cc]onnection (reset|timed out|closed)|Broken pipe|client_loop:|Read from remote host"
    "|Killed by signal|ssh_dispatch_run_fatal|Corrupted MAC|Bad packet|Disconnect"
)

#: Exit code of the bootstrap if the line that it read is not a program, because the login shell consumed the program.
TAKEN = 97

#: The first line of stdin is the program, with newlines as \001. A constant. The shell's own `read` would take one system call for each
#: byte. `head` may also consume keep-alives behind that line; the payload follows only once the program has said hello.
#: Of the login shell's variables, the program gets only those that Docker and sudo need. For doctor, it also gets the names of
#: variables that would affect a person's own Compose.
BOOTSTRAP = (
    r"""exec sh -c 'exec env -i PATH="$PATH" """
    + " ".join(
        f'${{{name}+"{name}=${name}"}}'
        for name in (
            "HOME",
            "USER",
            "LOGNAME",
            "TMPDIR",
            "XDG_RUNTIME_DIR",
            "SSH_AUTH_SOCK",
            "DOCKER_HOST",
            "DOCKER_CONTEXT",
            "DOCKER_CONFIG",
            "DOCKER_CERT_PATH",
            "DOCKER_TLS_VERIFY",
            "DOCKER_API_VERSION",
        )
    )
    + " "
    + " ".join(
        f'${{{name}:+"BY_HAND_{name}=yes"}}'
        for name in ("COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES", "DOCKER_REGISTRY", "VERSION")
    )
    + r""" sh -c "$0"' 'program=$(head -n 1 | tr "\001" "\n"); """
    r"""case $program in "#container-pipeline"*) eval "$program" ;; *) exit """ + f"{TAKEN} ;; esac'"
)

#: Environment variables that ssh and its helpers need; they do not get those of a build, some of which are secret.
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
    """How to log in to servers, in addition to the user's ssh configuration."""

    key: Path | None = None
    config: Path | None = None
    known_hosts: Path | None = None
    accept_new: bool = False
    connect_timeout: int = CONNECT_TIMEOUT

    def command(self, target: Target, words: str = BOOTSTRAP, *, terminal: bool = False) -> list[str]:
        """Return the command line that has ``words`` run by the login shell. It contains no secret, and no shell here parses it."""
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": str(self.connect_timeout),
            "ServerAliveInterval": "5",
            "ServerAliveCountMax": "4",
            "StrictHostKeyChecking": "accept-new" if self.accept_new else "yes",
            "ControlMaster": "no",
            "ClearAllForwardings": "yes",
            "ForwardAgent": "no",
            # Its message about a cut connection; on a terminal, it would also tell of each that ends well.
            "LogLevel": "ERROR" if terminal else "INFO",
        }
        if self.key:
            options["IdentityFile"] = _quoted(self.key)
            options["IdentitiesOnly"] = "yes"
        if self.known_hosts:
            options["UserKnownHostsFile"] = _quoted(self.known_hosts)
        command = ["ssh", "-t" if terminal else "-T"] + (["-F", str(self.config)] if self.config else [])
        for name, value in options.items():
            command += ["-o", f"{name}={value}"]
        command += ["-p", str(target.port)] if target.port else []
        command += ["-l", target.user] if target.user else []
        return [*command, "--", target.host, words]


def _quoted(path: Path) -> str:
    """Return a path as an option's value: ``%`` is escaped, since it begins one of ssh's tokens (ssh_config(5), TOKENS).

    Within quotes, a backslash escapes only a quote or another backslash (OpenSSH 8.7 and later: argv_split in misc.c).
    """
    text = re.sub(r'\\(?=[\\"\']|$)', r"\\\\", str(path).replace("%", "%%"))
    return '"' + text.replace('"', '\\"') + '"'


@dataclass
class Ending:
    """How a program on a server ended.

    ``said``: its last sentence, or "". ``started``: it said hello. ``printed``: output of the login shell before that.
    ``code``: ssh's exit code, negative for a signal. ``fault``: why we ended it: "start", "silence", "flood" or "".
    """

    said: str = ""
    started: bool = False
    code: int = 0
    fault: str = ""
    printed: deque[str] = field(default_factory=lambda: deque(maxlen=5))
    errors: deque[str] = field(default_factory=lambda: deque(maxlen=20))

    @property
    def cut(self) -> bool:
        """Whether sentences may have been lost, because ssh or its connection ended before the program."""
        return bool(self.fault) or self.code < 0 or any(_CUT.search(line) for line in self.errors)


def attach(access: Access, target: Target, words: str, out: IO[str], *, terminal: bool) -> int:
    """Run ``words`` on a server with this process's input, and its output to ``out``.

    Returns the exit code; if a signal ended ssh, 128 and its number. With ``terminal``, ssh hands on each key, Ctrl-C too, and
    the window's size.
    """
    environment = {name: os.environ[name] for name in (*_ENVIRONMENT, "TERM") if name in os.environ}
    # Not ignored, which ssh would inherit.
    before = signal.signal(signal.SIGINT, lambda *_given: None) if terminal else None
    try:
        with subprocess.Popen(access.command(target, words, terminal=terminal), stdout=out, env=environment) as process:
            try:
                code = process.wait()
            finally:
                process.kill()
    finally:
        if before:
            signal.signal(signal.SIGINT, before)
    return code if code >= 0 else 128 - code


#: Gets each sentence without the run's word; its return value is sent to the program's stdin.
Hear = Callable[[str], Optional[bytes]]


class Session:
    """Runs one program on one server. Any thread may call ``stop``; the program then cleans up and ends."""

    def __init__(self, target: Target, access: Access) -> None:
        self.target = target
        #: Prefix of each sentence of the program.
        self.word = os.urandom(8).hex()
        self._command = access.command(target)
        self.start_timeout = access.connect_timeout + START_TIMEOUT
        #: Longest output of a program, in bytes; a log that is shown at once has no limit.
        self.max_output = float(MAX_OUTPUT)
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        return self._stopped.is_set()

    def run(
        self, program: str, payload: bytes, hear: Hear, raw: Callable[[str], None], *, silence: float = SILENCE
    ) -> Ending:
        """Run ``program``; send it ``payload`` on stdin once it has started.

        ``hear`` gets each sentence at once, ``raw`` each other line after the first sentence. The first sentence must be ``hello``;
        ``end …`` is kept as the ending's ``said``; ``beat`` is a keep-alive. A program that is silent for ``silence`` seconds is
        ended. Raises ServerError if ssh is not installed here.
        """
        if "\1" in program or "\0" in program:
            raise ServerError(
                _("{server}: a setting contains a control character", server=self.target),
                _("remove it from the setting"),
            )
        # A comment for any other shell that reads it.
        line = f"#container-pipeline\nword={self.word}\n{program}".replace("\n", "\1").encode() + b"\n"
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        try:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
            )
        except FileNotFoundError as error:
            raise ServerError(_("ssh is not installed on this machine"), _("install OpenSSH's client")) from error
        with process:
            talk = _Talk(self, process, payload, hear, raw, silence)
            try:
                return talk.until_the_end(line)
            finally:
                process.kill()


class _Talk:
    """The conversation with one running program."""

    def __init__(
        self,
        session: Session,
        process: subprocess.Popen[bytes],
        payload: bytes,
        hear: Hear,
        raw: Callable[[str], None],
        silence: float,
    ) -> None:
        if not (process.stdin and process.stdout and process.stderr):
            raise RuntimeError("ssh has no pipes")
        self._session, self._process, self._payload = session, process, payload
        self._hear, self._raw, self._silence = hear, raw, silence
        self._ending = Ending()
        self._reader, self._errors = _Lines(process.stdout), _Lines(process.stderr)
        self._selector = selectors.DefaultSelector()
        self._writer = _Writer(process.stdin, self._selector)
        self._begun = self._heard = time.monotonic()

    def until_the_end(self, program: bytes) -> Ending:
        """Send the program; return its ending."""
        ending = self._ending
        with self._selector as selector:
            for lines in (self._reader, self._errors):
                selector.register(lines.pipe, selectors.EVENT_READ, lines.read)
            self._writer.feed(program)
            # After its last sentence, the program only cleans up, which needs no listener.
            while not ending.said and not ending.fault and not self._deaf():
                self._writer.beat()
                self._exchange()
                for line in self._reader.take():
                    self._take(line)
                ending.fault = self._fault()
            self._writer.close()
        ending.code = self._end()
        return ending

    def _deaf(self) -> bool:
        """Whether no more output will come: it has ended, or its time to clean up is over."""
        if self._session.stopped and not self._stop_by:
            self._writer.close()
            self._stop_by = time.monotonic() + PATIENCE
        late = bool(self._stop_by) and time.monotonic() > self._stop_by
        return late or self._left or not (self._reader.open or self._errors.open)

    _stop_by = 0.0
    #: ssh has ended, but a helper that it left behind still holds its pipes.
    _left = False

    def _exchange(self) -> None:
        # Asked first: what ssh wrote before it ended is still to be read.
        ended = self._process.poll() is not None
        events = self._selector.select(0.2)
        for key, _events in events:
            if not key.data():
                self._selector.unregister(key.fileobj)
        self._left = ended and not events
        self._ending.errors.extend(line[:1000] for line in self._errors.take())

    def _take(self, line: str) -> None:
        ending, mark = self._ending, f"::{self._session.word} "
        if ending.said:
            return
        self._heard = time.monotonic()
        if not line.startswith(mark):
            if ending.started:
                self._raw(line)
            else:
                ending.printed.append(line[:200])
            return
        text = line[len(mark) :]
        if not ending.started:
            ending.started = text == "hello"
            self._writer.feed(self._payload)
        elif text.startswith("end "):
            ending.said = text[len("end ") :]
        elif text != "beat":
            self._writer.feed(self._hear(text) or b"")

    def _fault(self) -> str:
        """Return why it must be ended now, or ""."""
        now, cost = time.monotonic(), self._reader.cost + self._errors.cost
        if not self._ending.started:
            if cost > MAX_BEFORE:
                return "flood"
            return "start" if now - self._begun > self._session.start_timeout else ""
        if now - max(self._heard, self._writer.progress) > self._silence:
            return "silence"
        return "flood" if cost > self._session.max_output else ""

    def _end(self) -> int:
        """End ssh if it still runs; return its exit code."""
        if self._stop_by or self._ending.said or self._ending.fault:
            self._process.terminate()
        try:
            return self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


class _Lines:
    """Reads lines from a pipe without blocking; keeps the beginning of a line that is too long."""

    def __init__(self, pipe: IO[bytes]) -> None:
        os.set_blocking(pipe.fileno(), False)
        self.pipe, self._rest, self.open = pipe, bytearray(), True
        self._lines: list[str] = []
        #: Bytes read so far, with an extra cost for each line.
        self.cost = 0

    def read(self) -> bool:
        """Read what is available; False at the end."""
        data = os.read(self.pipe.fileno(), 65536)
        self.open = bool(data)
        *whole, rest = data.split(b"\n")
        self.cost += len(data) + LINE_COST * len(whole)
        for part in whole:
            self._add(part)
            self._end_line()
        self._add(rest)
        if not data and self._rest:
            self._end_line()
        return self.open

    def _add(self, part: bytes) -> None:
        self._rest += part[: MAX_LINE - len(self._rest)]

    def _end_line(self) -> None:
        self._lines.append(self._rest.decode(errors="replace").rstrip("\r"))
        self._rest.clear()

    def take(self) -> list[str]:
        lines, self._lines = self._lines, []
        return lines


class _Writer:
    """Writes to a pipe as fast as it accepts, then a newline every few seconds as a keep-alive."""

    def __init__(self, pipe: IO[bytes], selector: selectors.BaseSelector) -> None:
        os.set_blocking(pipe.fileno(), False)
        self._pipe, self._selector = pipe, selector
        self._pending = memoryview(b"")
        self._beat = 0.0
        #: When the server last accepted more than a keep-alive.
        self.progress = 0.0

    def feed(self, data: bytes) -> None:
        """Queue ``data``."""
        if not data or self._pipe.closed:
            return
        if self._pending:
            self._pending = memoryview(bytes(self._pending) + data)
        else:
            self._pending = memoryview(data)
            self._selector.register(self._pipe, selectors.EVENT_WRITE, self.write)
        self._beat = time.monotonic()

    def beat(self) -> None:
        """Send a keep-alive if nothing was sent for a while."""
        if not self._pending and not self._pipe.closed and time.monotonic() - self._beat > HEARTBEAT:
            self.feed(b"\n")

    def write(self) -> bool:
        """Write what the pipe accepts now; False if nothing is left."""
        self._beat = time.monotonic()
        if len(self._pending) > 1:
            self.progress = self._beat
        try:
            self._pending = self._pending[os.write(self._pipe.fileno(), self._pending) :]
        except BlockingIOError:
            return True
        except BrokenPipeError:
            # The other pipes signal the end.
            self._pending = memoryview(b"")
        return bool(self._pending)

    def close(self) -> None:
        """Close stdin, which tells the program that nobody waits for it any more."""
        if self._pending:
            self._selector.unregister(self._pipe)
            self._pending = memoryview(b"")
        self._pipe.close()
