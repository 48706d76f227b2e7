"""Jenkins' own interpreter and sandbox for the tests: where they come from, and the host compiled against them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HOST = Path(__file__).parent / "host"
POMS = Path(__file__).parent / "poms"
NEWER = ("groovy-cps", "groovy-sandbox")
LISTS = ("generic-whitelist", "jenkins-whitelist", "blacklist")
NO_LISTS = (
    "not run: the Groovy sandbox. Let JENKINS_LISTS name a folder with script-security's lists: "
    "git clone https://github.com/jenkinsci/script-security-plugin has them in "
    "src/main/resources/org/jenkinsci/plugins/scriptsecurity/sandbox/whitelists"
)


@dataclass(frozen=True)
class Parts:
    """The class path of a host that can run, and the folder of script-security's lists where there is one."""

    classpath: str
    lists: Path | None


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "container-pipeline-lab"


def find() -> Parts:
    """Return the parts, fetching and compiling what is missing; safe for several test processes at once."""
    with _locked(cache()):
        jars = _jars()
        newer = any(_named(name) for name in NEWER)
        sources = [path for path in sorted(HOST.glob("*.java")) if not (newer and path.name == "OlderSandbox.java")]
        classes = _compile(sources, jars)
    return Parts(os.pathsep.join([str(classes), *map(str, jars)]), _lists())


def _jars() -> list[Path]:
    """Return Maven Central's jars, with newer ones of the folder ``JENKINS_PARTS`` in their place."""
    newer = [jar for name in NEWER for jar in _named(name)]
    replaced = {name for name in NEWER for jar in newer if jar.name.startswith(name)}
    central = [jar for jar in _maven("central") if not jar.name.startswith(tuple(replaced))]
    return [*newer, *central]


def _named(name: str) -> list[Path]:
    folder = os.environ.get("JENKINS_PARTS")
    return sorted(Path(folder).glob(f"{name}*.jar"))[-1:] if folder else []


def _lists() -> Path | None:
    """Return the folder that ``JENKINS_LISTS`` names; a list that is missing there is an error."""
    named = os.environ.get("JENKINS_LISTS")
    if not named:
        return None
    folder = Path(named)
    missing = [name for name in LISTS if not any((folder / f"{name}{end}").is_file() for end in (".txt", ""))]
    if missing:
        raise FileNotFoundError(f"JENKINS_LISTS={folder} lacks {', '.join(missing)}")
    return folder


def _maven(pom: str) -> list[Path]:
    file = POMS / f"{pom}.xml"
    folder = cache() / f"{pom}-{_digest([file])}"
    if not folder.is_dir():
        fresh = folder.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        command = ["mvn", "-q", "-B", "-f", str(file), "dependency:copy-dependencies", f"-DoutputDirectory={fresh}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        fresh.rename(folder)
    return sorted(folder.glob("*.jar"))


def _compile(sources: list[Path], jars: list[Path]) -> Path:
    resources = [HOST / "Declarative.groovy"]
    folder = cache() / f"host-{_digest([*sources, *resources, *jars])}"
    if not folder.is_dir():
        fresh = folder.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        classpath = os.pathsep.join(map(str, jars))
        subprocess.run(["javac", "-nowarn", "-d", str(fresh), "-cp", classpath, *map(str, sources)], check=True)
        for resource in resources:
            shutil.copy(resource, fresh)
        fresh.rename(folder)
    return folder


def _digest(files: list[Path]) -> str:
    return hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in files)).hexdigest()[:16]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
