"""Hudson 2.2.1 from Maven Central: a real server with Jenkins' HTTP interface, which rewrites configurations as Jenkins does.

Jenkins' own war is in no package registry; this is its sibling of 2012. It supports freestyle jobs, not pipelines or
folders. It starts in about ten seconds and takes 350 MB of memory.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from lab import place, process
from lab.place import LabError

ARTIFACT = "org.jvnet.hudson.main:hudson-war:2.2.1:war"
#: Its bundled plugins keep it from creating jobs on a newer Java.
_PLUGINS = (
    "cvs", "git", "maven-plugin", "maven3-plugin", "maven3-snapshots", "rest-plugin", "ssh-slaves", "subversion",
)  # fmt: skip
_BASE = [
    "java.io",
    "java.lang",
    "java.lang.reflect",
    "java.net",
    "java.nio.charset",
    "java.text",
    "java.util",
    "java.util.concurrent",
    "java.util.concurrent.atomic",
    "java.util.concurrent.locks",
    "java.util.zip",
    "sun.nio.ch",
    "sun.reflect.misc",
    "sun.security.action",
]
_OPENED = [*(f"java.base/{name}" for name in _BASE), "java.desktop/java.awt.font", "java.desktop/java.beans"]


class Hudson:
    """One server with its home in ``folder``, on loopback."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.url = f"http://127.0.0.1:{port}"
        self.accesses = folder / "access.log"  # one line for each request
        self._pidfile, self._log = folder / "pid", folder / "log"

    def start(self) -> None:
        """Start it and return at once; ``wait`` waits for a response. Raises LabError if a part is not available."""
        if self.running():
            return
        classes, war = parts()
        plugins = self.folder / "home" / "plugins"
        plugins.mkdir(parents=True, exist_ok=True)
        for name in _PLUGINS:
            (plugins / f"{name}.hpi.disabled").touch()
        opened = [word for name in _OPENED for word in ("--add-opens", f"{name}=ALL-UNNAMED")]
        listen = [f"--httpPort={self.port}", "--httpListenAddress=127.0.0.1", "--ajp13Port=-1"]
        listen += [
            "--accessLoggerClassName=winstone.accesslog.SimpleAccessLogger",
            "--simpleAccessLogger.format=combined",
        ]
        listen.append(f"--simpleAccessLogger.file={self.accesses}")
        command = [
            "java",
            "-Xmx384m",
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            *opened,
            "-cp",
            f"{classes}:{war}",
            "Launch",
            "Main",
            *listen,
        ]
        process.start(self._pidfile, command, self._log, {**os.environ, "HUDSON_HOME": str(self.folder / "home")})

    def wait(self) -> None:
        process.wait_for("Hudson", self.answers, self._pidfile, self._log, 120)

    def running(self) -> bool:
        return process.alive(self._pidfile) is not None

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/api/json", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def stop(self) -> None:
        """Kill it at once: it has no data worth a clean shutdown."""
        process.stop(self._pidfile, patience=0)


def parts() -> tuple[Path, Path]:
    """Return the launcher's classes and the war; fetch and compile missing ones."""
    folder = place.cache() / "hudson-2.2.1"
    war = folder / "hudson-war-2.2.1.war"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not war.exists():
            _need("mvn", "maven")
            fetch = ["dependency:copy", f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={folder / 'new'}"]
            process.run("mvn", "-q", "-B", *fetch, timeout=900)
            (folder / "new" / war.name).rename(war)
        source = Path(__file__).with_name("Launch.java")
        classes = folder / hashlib.sha256(source.read_bytes()).hexdigest()[:12]
        if not (classes / "Launch.class").exists():
            _need("javac", "default-jdk-headless")
            process.run("javac", "-d", str(classes), str(source))
    return classes, war


def _need(program: str, package: str) -> None:
    if not shutil.which(program):
        raise LabError(f"{program} is missing: apt-get install {package}")
