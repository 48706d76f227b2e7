"""Runs a project's own commands."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from container_pipeline import environment
from container_pipeline.clients import children
from container_pipeline.errors import SettingsError
from container_pipeline.i18n import _
from container_pipeline.model import Program

_KEPT = 20
#: Bytes of a service's environment: Linux gives a new process 2 MB for environment and arguments.
_LARGEST_ENV = 1 << 19


def run(command: Sequence[str], folder: Path) -> tuple[int, list[str]]:
    """Run a command in ``folder``; return its exit code and its last lines."""
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    return done.returncode, done.stdout.decode(errors="replace").splitlines()[-_KEPT:]


def printed(program: Program, folder: Path) -> bytes:
    """Return what a program of ``env_from`` prints; raises SettingsError, which quotes nothing of its output or arguments.

    Every process that it started ends with it, also one that left its process group.
    """
    mark = secrets.token_hex(16)
    environ = {**environment.for_program(program.inherit), "CONTAINER_PIPELINE_CHILD": mark}
    by_hand = _("run its command by hand in {folder}: nothing of what it prints is shown here", folder=folder)
    lacking = [name for name in program.inherit if name not in environ]
    if lacking:
        by_hand = _("{names} of `inherit` is not set here", names=", ".join(lacking))
    try:
        done = children.finish(
            program.command, environ, folder=folder, timeout=program.timeout, largest=_LARGEST_ENV, mark=mark
        )
    except FileNotFoundError:
        raise SettingsError(
            _("env_from: {program} is not on this machine", program=program.name),
            _("install it, or write its path from the project's root"),
        ) from None
    except OSError as error:
        raise SettingsError(
            _("env_from: {program} cannot be started: {problem}", program=program.name, problem=error.strerror),
            _("run its command by hand in {folder}", folder=folder),
        ) from None
    except subprocess.TimeoutExpired:
        raise SettingsError(
            _("env_from: {program} did not end within {seconds} s", program=program.name, seconds=program.timeout),
            _("raise its `timeout`, or {hint}", hint=by_hand),
        ) from None
    except children.Flooded:
        raise SettingsError(
            _("env_from: {program} printed more than {limit} kB", program=program.name, limit=_LARGEST_ENV >> 10),
            _("let it print the variables of this service alone"),
        ) from None
    if done.returncode < 0:
        children.wait_for_abort()
        raise SettingsError(
            _("env_from: {program} was ended by signal {number}", program=program.name, number=-done.returncode),
            by_hand,
        )
    if done.returncode:
        raise SettingsError(
            _("env_from: {program} failed with exit code {code}", program=program.name, code=done.returncode), by_hand
        )
    if not done.stdout.strip():
        raise SettingsError(_("env_from: {program} printed nothing", program=program.name), by_hand)
    return done.stdout


def parses(text: str, shell: str = "sh") -> bool:
    """Return whether ``shell`` parses ``text`` as complete commands; nothing is executed."""
    done = children.ask([shell, "-n"], given=text.encode("utf-8", "replace"))
    return done is None or not done.returncode  # without that shell, it cannot be checked


#: Compound statements whose lines the reader of docker.sh reads one by one.
_TAKEN_APART = ("IfClause", "ForClause", "WhileClause", "CaseClause")


def statements(text: str) -> list[tuple[int, int]]:
    """Return first and last line of each multi-line statement, from shfmt's syntax tree; empty without shfmt.

    if, loops, case and functions are not included, but the statements in them are.
    """
    done = children.ask(["shfmt", "--to-json"], given=text.encode("utf-8", "replace"))
    try:
        return sorted(set(_spans(json.loads(done.stdout)))) if done and not done.returncode else []
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return []


def _spans(node: Any) -> Iterator[tuple[int, int]]:
    if isinstance(node, list):
        for item in node:
            yield from _spans(item)
    elif isinstance(node, dict):
        command = node.get("Cmd") or {}
        kind = command.get("Type", "")
        if kind == "FuncDecl":
            yield from _spans(command["Body"]["Cmd"].get("Stmts"))
        elif kind and kind not in _TAKEN_APART:
            yield node["Pos"]["Line"], _last(node)
        else:
            for value in node.values():
                yield from _spans(value)


def _last(node: Any) -> int:
    """Return the last line of a node, including its here-documents, which end after the statement."""
    found = node["End"]["Line"] if isinstance(node, dict) and isinstance(node.get("End"), dict) else 0
    below = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return max(found, *map(_last, below), 0)
