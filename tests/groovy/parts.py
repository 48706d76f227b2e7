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
SANDBOXED = ("Guard.java", "Sandbox.java")
LISTS = ("generic-whitelist.txt", "jenkins-whitelist.txt")


@dataclass(frozen=True)
class Parts:
    """The class path of a host that can run, and whether it has Jenkins' sandbox."""

    classpath: str
    lists: tuple[Path, ...]
    sandbox: bool


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "container-pipeline-lab"


def find() -> Parts:
    """Return the parts, fetching and compiling what is missing; safe for several test processes at once."""
    with _locked(cache()):
        jars, lists = _jars()
        sandbox = bool(lists)
        sources = [path for path in sorted(HOST.glob("*.java")) if sandbox or path.name not in SANDBOXED]
        classes = _compile(sources, jars, sandbox)
    return Parts(os.pathsep.join([str(classes), *map(str, jars)]), lists, sandbox)


def _jars() -> tuple[list[Path], tuple[Path, ...]]:
    """``JENKINS_PARTS`` names a folder that holds them; else Jenkins' Maven repository; else Maven Central's older ones."""
    folder = os.environ.get("JENKINS_PARTS")
    common = _maven("common")
    if folder:
        parts = Path(folder)
        return [*common, *sorted(parts.glob("groovy-*.jar"))], tuple(parts / name for name in LISTS)
    try:
        jars = _maven("jenkins")
        return [*common, *jars], _lists(jars)
    except subprocess.CalledProcessError:
        print("Jenkins' Maven repository cannot be reached: groovy-cps 1.31, and no test of the sandbox")
        return [*common, *_maven("central")], ()


def _lists(jars: list[Path]) -> tuple[Path, ...]:
    """script-security carries its lists in its jar."""
    security = next(jar for jar in jars if jar.name.startswith("script-security"))
    folder = cache() / "lists"
    found = []
    for name in LISTS:
        inside = f"org/jenkinsci/plugins/scriptsecurity/sandbox/whitelists/{name.split('.')[0]}"
        shutil.unpack_archive(security, folder, "zip")
        found.append(folder / inside)
    return tuple(found)


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


def _compile(sources: list[Path], jars: list[Path], sandbox: bool) -> Path:
    resources = [HOST / "Declarative.groovy"]
    folder = cache() / f"host-{_digest([*sources, *resources])}-{'sandbox' if sandbox else 'plain'}"
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
