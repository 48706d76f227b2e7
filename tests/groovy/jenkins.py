"""A Jenkins to run Jenkinsfiles on: a warm JVM with Jenkins' own interpreter (host/), one build at a time or several."""

from __future__ import annotations

import functools
import itertools
import json
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools import links

from groovy import parts

OPENS = ["java.lang", "java.util", "java.io"]
ROOT = Path(__file__).parents[2]


@functools.cache
def _links(library: Path) -> list[str]:
    return links.links(library) if (library / ".git").exists() else []


@dataclass
class Run:
    """The outcome of a build and its effects."""

    result: str = ""
    lines: list[str] = field(default_factory=list)
    description: str | None = None
    stages: list[dict[str, str]] = field(default_factory=list)
    archived: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    suspensions: int = 0
    seconds: float = 0.0
    archive: Path = Path()
    crash: str = ""

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    @property
    def stage_names(self) -> list[str]:
        return [stage["name"] for stage in self.stages]


@dataclass
class Build:
    """A running build: ``abort`` it, or ``wait`` for its Run."""

    jenkins: Jenkins
    id: str
    run: Run
    on_line: Callable[[str], None] | None
    done: threading.Event = field(default_factory=threading.Event)

    def abort(self) -> None:
        self.jenkins.send({"id": self.id, "abort": True})

    def wait(self, seconds: float = 150) -> Run:
        if not self.done.wait(seconds):
            raise TimeoutError(f"the build did not end:\n{self.run.log}")
        if self.run.crash:
            raise RuntimeError(self.run.crash)
        return self.run


class Jenkins:
    """The JVM; ``home`` holds workspaces and archives."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.parts = parts.find()
        opens = [f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in OPENS]
        lists = f"-Dhost.lists={self.parts.lists or ''}"
        flags = [lists, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx512m"]
        self._process = subprocess.Popen(
            ["java", *flags, *opens, "-cp", self.parts.classpath, "host.Main"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._builds: dict[str, Build] = {}
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)

    def send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()

    def start(
        self,
        script: str,
        *,
        on_line: Callable[[str], None] | None = None,
        vars: Path = ROOT / "vars",
        resources: list[Path] | None = None,
        scm: Path | None = None,
        job: str = "job",
        **more: Any,
    ) -> Build:
        """Start a build. ``more``: node, environment, credentials, params, labels, input, restart, abortAt, …"""
        number = next(self._ids)
        archive = self.home / "builds" / str(number) / "archive"
        build = Build(self, str(number), Run(archive=archive), on_line)
        self._builds[build.id] = build
        request = {
            "id": build.id,
            "script": script,
            "vars": str(vars),
            "resources": [str(path) for path in resources or [ROOT / "resources"]],
            "links": _links(vars.parent),
            "scm": str(scm) if scm else None,
            "home": str(self.home),
            "archive": str(archive),
            "job": job,
            "sandbox": self.parts.lists is not None,
            **more,
        }
        self.send(request)
        return build

    def run(self, script: str, **more: Any) -> Run:
        """Run a Jenkinsfile to its end."""
        began = time.monotonic()
        run = self.start(script, **more).wait()
        run.seconds = time.monotonic() - began
        return run

    def _read(self) -> None:
        assert self._process.stdout is not None
        for text in self._process.stdout:
            message = json.loads(text)
            build = self._builds[message["id"]]
            if "line" in message:
                build.run.lines.append(message["line"])
                if build.on_line:
                    build.on_line(message["line"])
            else:
                for name, value in message["end"].items():
                    setattr(build.run, name, value)
                build.done.set()
        for build in self._builds.values():
            if not build.done.is_set():
                build.run.crash = "the JVM ended"
                build.done.set()
