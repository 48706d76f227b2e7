"""BuildKit, through the first ``docker`` on PATH, whose client streams the context and mounts secrets."""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from container_pipeline import environment, outside
from container_pipeline.clients import children, engine
from container_pipeline.clients.engine import LAST_LINES, BuildOptions, build_error
from container_pipeline.console import Console
from container_pipeline.errors import BuildError
from container_pipeline.i18n import _
from container_pipeline.model import ImageRef, RegistryAccess

#: Seconds for an interrupted client to end by itself; Jenkins gives the agent five in all.
GRACE = 3
#: Seconds for a query about the client itself, which first runs each of its plugins.
_TIMEOUT = 30
#: Longest progress line in characters; a longer one is split.
_LONGEST = 1 << 16
#: Number of steps whose names and lines are kept.
_STEPS = 2000
#: Build arguments with these names would affect the client itself, so they cannot be passed in its environment.
_CLIENTS_OWN = re.compile(r"PATH|HOME|(?:DOCKER|BUILDKIT|BUILDX)_.*")


@dataclass(frozen=True)
class BuildKit:
    """A docker client that builds with BuildKit."""

    program: str
    console: Console = field(repr=False)
    #: Whether it can attach attestations to an image, and does so by default.
    attests: bool = False

    @classmethod
    def find(cls, console: Console) -> BuildKit | None:
        """Return the client if it and its engine support BuildKit, else None."""
        program = shutil.which("docker")
        if program is None:
            return None
        client = cls(program, console)
        shown = client._ask("build", "--help")
        return replace(client, attests="--provenance" in shown) if "--secret" in shown else None

    @property
    def has_buildx(self) -> bool:
        """Whether the client has the buildx component, which a build for several platforms needs."""
        return bool(self._ask("buildx", "version"))

    def _ask(self, *arguments: str) -> str:
        """Return the client's output, "" if it fails or does not end."""
        done = children.ask([self.program, *arguments], self._environ(), timeout=_TIMEOUT)
        return done.stdout.decode(errors="replace") if done and done.returncode == 0 else ""

    def build(
        self,
        context: Path,
        image: ImageRef,
        options: BuildOptions,
        secrets: Mapping[str, Path],
        platforms: Sequence[str] = (),
        attest: str = "true",
    ) -> None:
        """Build; raises BuildError with the failing step, its last lines and exit code.

        ``attest``: attach what BuildKit does by default ("true"), nothing ("false"), or "provenance".
        """
        with self._config(options.logins) as extra:
            command = [self.program, "build", "--progress", "plain", "--tag", str(image), "--file", options.dockerfile]
            command += [] if options.cache else ["--no-cache"]
            command += ["--platform", ",".join(platforms)] if platforms else []
            if self.attests and attest != "true":
                command += [f"--provenance={str(attest == 'provenance').lower()}", "--sbom=false"]
            for name, value in options.labels.items():
                command += ["--label", f"{name}={value}"]
            for name, path in secrets.items():
                command += ["--secret", f"id={name},src={path}"]
            for name, value in options.arguments.items():
                # By name alone if possible: the process list would show a value.
                if _CLIENTS_OWN.fullmatch(name):
                    command += ["--build-arg", f"{name}={value}"]
                else:
                    command += ["--build-arg", name]
                    extra[name] = value
            self._run([*command, str(context)], extra)

    def _run(self, command: Sequence[str], extra: Mapping[str, str]) -> None:
        log = PlainLog(self.console)
        with subprocess.Popen(
            command,
            env={**self._environ(), **extra},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as child:
            assert child.stdout is not None  # noqa: S101 - it is a pipe
            try:
                for line in _lines(child.stdout.fileno()):
                    log.see(line)
            except BaseException:
                _end(child)
                raise
        if child.returncode:
            if not log.explained:
                children.wait_for_abort()
            raise log.error(child.returncode)

    def _environ(self) -> dict[str, str]:
        # Set even if it is the default: else the user's docker context could select a different engine from the API's.
        return {"DOCKER_HOST": "unix:///var/run/docker.sock", **environment.for_child(), "DOCKER_BUILDKIT": "1"}

    @contextlib.contextmanager
    def _config(self, logins: Sequence[RegistryAccess]) -> Iterator[dict[str, str]]:
        """Yield variables that give the client ``logins``, in a private copy of its config folder, deleted afterwards."""
        if not logins:
            yield {}
            return
        own = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
        with tempfile.TemporaryDirectory(prefix="container-pipeline-") as folder:
            for entry in own.iterdir() if own.is_dir() else ():
                if entry.name != "config.json":
                    (Path(folder) / entry.name).symlink_to(entry.resolve())
            with _held(json.dumps(_with_logins(own / "config.json", logins))) as place:
                (Path(folder) / "config.json").symlink_to(place)
                yield {"DOCKER_CONFIG": folder}


@contextlib.contextmanager
def _held(text: str) -> Iterator[str]:
    """Yield a path that reads as ``text`` while this process lives; it is in no folder, so nothing can be left behind.

    It uses memfd_create(2) and a path in proc(5). On systems other than Linux, it is a private file.
    """
    if sys.platform != "linux":
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            yield file.name
        return
    with open(os.memfd_create("config.json"), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        yield f"/proc/{os.getpid()}/fd/{file.fileno()}"


def _lines(pipe: int) -> Iterator[str]:
    """Yield the client's output by line; raises BuildError if the engine is silent for too long."""
    end, kept = time.monotonic() + engine.LONGEST, b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            ready = selector.select(min(engine.QUIET, max(0, end - time.monotonic())))
            if not ready or time.monotonic() > end:
                raise BuildError(
                    _("the build failed: {problem}", problem=_("the engine stopped responding")), engine.STUCK
                )
            data = os.read(pipe, _LONGEST)
            *lines, kept = (kept + data).split(b"\n")
            if not data or len(kept) >= _LONGEST:
                lines, kept = [*lines, *filter(None, [kept])], b""
            for line in lines:
                yield line.decode(errors="replace").rstrip("\r")
            if not data:
                return


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the client and its plugins: an older buildx reacts to a signal only if it receives it directly."""
    for sent in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, sent)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(GRACE)
            return


def _with_logins(path: Path, logins: Sequence[RegistryAccess]) -> dict[str, object]:
    """Return the user's configuration with ``logins``; the hosts of these no longer use a credential helper."""
    import base64

    try:
        config = outside.read_json(outside.read_file(path, outside.LARGEST), dict)
    except (OSError, ValueError):
        config = {}
    auths, helpers = dict(outside.pick(config, "auths", dict)), dict(outside.pick(config, "credHelpers", dict))
    # A store for all hosts would be asked for ours too: set it for each host that it knows instead.
    store = config.pop("credsStore", "")
    helpers.update({host: store for host in auths if store})
    for access in logins:
        token = f"{access.user}:{access.password.reveal()}".encode()
        auths[access.registry.login_key] = {"auth": base64.b64encode(token).decode()}
        helpers.pop(access.registry.login_key, None)
    return {**config, "auths": auths, "credHelpers": helpers}


class PlainLog:
    """Shows BuildKit's plain progress, and keeps each step's last lines in case it fails."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._known: set[str] = set()
        self._names: dict[str, str] = {}
        self._lines: dict[str, list[str]] = {}
        self._failed = ""
        self._problem = ""

    def see(self, line: str) -> None:
        found = re.fullmatch(r"#([0-9]{1,9}) (.*)", line)
        number, text = (found[1], found[2]) if found else ("", line)
        output = re.match(r"[0-9]+\.[0-9]+ (.*)", text)
        step = re.match(r"\[(?!internal\]).*?\] (.*)", text)
        if re.match(r"(?i)error: |failed to solve", text):
            self._failed = self._failed or number
            self._problem = outside.short(re.sub(r"(?i)^error: ", "", text), outside.MESSAGE)
        elif number not in self._known and len(self._known) >= _STEPS:
            pass
        elif number and output:
            self._known.add(number)
            lines = self._lines.setdefault(number, [])
            lines.append(output[1])
            del lines[:-LAST_LINES]
        elif number and step:
            self._known.add(number)
            self._names[number] = outside.short(step[1])
        # BuildKit's messages about its own work are shown only with -v.
        (self._console.line if number and (output or step) else self._console.detail)(line)

    @property
    def explained(self) -> bool:
        """Whether the client reported a failure, and not only that it was stopped."""
        return bool(self._problem) and not re.search(r"(?i)\bcancell?ed\b", self._problem)

    def error(self, status: int) -> BuildError:
        """Return the error of a build that the client ended with ``status``."""
        problem = self._problem or _("the docker client exited with {status}", status=status)
        found = re.search(r"exit code: ([0-9]+)", problem)
        code = int(found[1]) if found else None
        return build_error(self._names.get(self._failed, ""), self._lines.get(self._failed, []), code, problem)
