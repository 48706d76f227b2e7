"""What other programs know about a project's files: Compose's own parser, hadolint, git. Each only where it is there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from container_pipeline.clients import environment
from container_pipeline.model import Finding

#: Seconds; all three answer in a tenth of one.
_TIMEOUT = 10

#: What docker says that has no compose plugin: it takes -f for an option of its own.
_NO_COMPOSE = r"unknown (?:command|shorthand flag|flag)|is not a docker command"
#: What the convention decides otherwise (ADD, root, system packages' versions) or a rule of ours says already.
_OURS = re.compile("DL(30(00|02|04|06|07|08|09|13|14|15|18|20|25|42|45|66)|400[034])")


def _run(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str] | None:
    """Run a program; None where it is not there or hangs."""
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=environment.for_child(),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


def compose_problem(project: Path, file: str) -> Finding | None:
    """Return what Compose's parser has against ``file``: v2 where it is there, else v1."""
    for program in (["docker", "compose"], ["docker-compose"]):
        done = _run([*program, "-f", file, "config", "-q"], project) if shutil.which(program[0]) else None
        if done is None or re.search(_NO_COMPOSE, done.stderr):
            continue
        if not done.returncode:
            return None
        said = [line for line in done.stderr.splitlines() if line.strip() and "level=warning" not in line]
        text = re.sub(r"^(?:ERROR|validating \S+): ", "", " ".join(said).strip()) or "config failed"
        at = re.search(r"line (\d+)", text)
        return Finding("CP200", file, int(at[1]) if at else 1, text)
    return None


def hadolint(project: Path, file: str) -> list[Finding]:
    """Return what hadolint finds beyond the convention's own rules."""
    if not shutil.which("hadolint"):
        return []
    done = _run(["hadolint", "--no-fail", "--format", "json", file], project)
    try:
        found = json.loads(done.stdout) if done else []
    except ValueError:
        return []
    return [
        Finding(one["code"], file, max(1, one["line"]), one["message"])
        for one in found
        if not _OURS.fullmatch(one["code"]) and one["level"] in ("error", "warning")
    ]


def tracked(project: Path, names: Sequence[str]) -> frozenset[str]:
    """Return those of ``names`` that git has; none where the project is in no repository."""
    done = _run(["git", "ls-files", "-z", "--", *names], project) if names else None
    return frozenset(done.stdout.split("\0")) - {""} if done and not done.returncode else frozenset()
