"""Runs a project's own commands."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from container_pipeline.clients import children

_KEPT = 20


def run(command: Sequence[str], folder: Path) -> tuple[int, list[str]]:
    """Run a command in ``folder``; return its exit code and its last lines."""
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    return done.returncode, done.stdout.decode(errors="replace").splitlines()[-_KEPT:]


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
