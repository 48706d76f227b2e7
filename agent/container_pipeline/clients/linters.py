"""Checks of other programs on a project's files: Compose's parser, hadolint, git. A missing program is skipped."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from container_pipeline import environment
from container_pipeline.clients import children
from container_pipeline.model import Finding
from container_pipeline.outside import Unreadable, maps, pick, read_json, read_yaml, short
from container_pipeline.project import files

#: Message of a docker without the compose plugin, which reads -f as its own option.
_NO_COMPOSE = r"unknown (?:command|shorthand flag|flag)|is not a docker command"
#: Rules that the convention overrides (ADD, root, versions of system packages) or that ours cover.
_OURS = re.compile("DL(30(00|02|04|06|07|08|09|13|14|15|18|20|25|42|45|66)|400[034])")


#: A variable of a Compose file: its name, and its default or error, if any.
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)(:?[-+?])?|([A-Za-z_]\w*))")
#: Variables that a deploy sets, whatever this machine's environment has.
_BY_DEPLOY = {"DOCKER_REGISTRY": "registry.example", "VERSION": "1"}


def _run(
    command: Sequence[str], folder: Path, given: str = "", more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str] | None:
    """Run a program with ``given`` as its input; return None if it is missing, hangs or floods."""
    done = children.ask(command, {**(more or {}), **environment.for_child()}, folder=folder, given=given.encode())
    if done is None:
        return None
    out, err = (data.decode(errors="replace") for data in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(command, done.returncode, out, err)


def compose_problem(project: Path, file: str) -> Finding | None:
    """Return the findings of Compose's parser on ``file``: of v2 if installed, else of v1."""
    text = files.read(project / file) or ""
    done = _compose(project, text, ["-f", file], ["-q"])
    if done is None or not done.returncode:
        return None
    said = [line for line in done.stderr.splitlines() if line.strip() and "level=warning" not in line]
    prefix = rf"^(?:ERROR|(?:validating|failed to parse) \S*{re.escape(file)}): (?:yaml: )?"
    problem = re.sub(prefix, "", " ".join(said).strip()).strip() or "config failed"
    at = re.search(r"line (\d+)", problem)
    return Finding("CP200", file, int(at[1]) if at else 1, problem)


def compose_reading(project: Path, text: str) -> Any:
    """Return Compose's resolved form of ``text``, None if Compose is missing or refuses it."""
    done = _compose(project, text, ["-f", "-"], [])
    try:
        return read_yaml(done.stdout) if done and not done.returncode else None
    except Unreadable:
        return None


def _compose(
    project: Path, text: str, source: Sequence[str], options: Sequence[str]
) -> subprocess.CompletedProcess[str] | None:
    """Run ``config`` as after a deploy, with version, registry and a ``.env``; None without Compose."""
    with contextlib.ExitStack() as stack:
        folder, given = project, _given(text, not (project / ".env").exists())
        if not (project / ".env").exists():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()), project.name or "project")
            folder.mkdir()
            for entry in os.scandir(project):
                (folder / entry.name).symlink_to(entry.path)
            (folder / ".env").touch()
        for program in (["docker", "compose"], ["docker-compose"]):
            if not shutil.which(program[0]):
                continue
            command = [*program, *source, "--project-directory", str(folder), "config", *options]
            done = _run(command, folder, text, given)
            if done is not None and not re.search(_NO_COMPOSE, done.stderr):
                return done
    return None


def _given(text: str, everything: bool) -> dict[str, str]:
    """Return a value for each required variable of the file; with ``everything``, for each without a default."""
    given = dict(_BY_DEPLOY)
    for braced, operator, plain in _VARIABLE.findall(text):
        if operator.endswith("?") or (everything and not operator):
            given.setdefault(braced or plain, "1")
    return given


def hadolint(project: Path, file: str) -> list[Finding]:
    """Return hadolint's findings beyond the convention's rules."""
    if not shutil.which("hadolint"):
        return []
    done = _run(["hadolint", "--no-fail", "--format", "json", file], project)
    try:
        found = {"all": read_json(done.stdout, list) if done else []}
    except ValueError:
        return []
    return [
        Finding(code, file, max(1, pick(one, "line", int)), short(pick(one, "message", str)))
        for one in maps(found, "all")
        if (code := short(pick(one, "code", str), 20))
        and not _OURS.fullmatch(code)
        and one.get("level") in ("error", "warning")
    ]


def tracked(project: Path, names: Sequence[str]) -> frozenset[str]:
    """Return those of ``names`` that git tracks; none outside of a repository."""
    done = _run(["git", "ls-files", "-z", "--", *names], project) if names else None
    return frozenset(done.stdout.split("\0")) - {""} if done and not done.returncode else frozenset()
