"""Show what the next deploy would change on each server: the version, and each file line by line, secrets hidden."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from container_pipeline.execute import Run, release
from container_pipeline.i18n import _
from container_pipeline.model import File
from container_pipeline.plan.diff import FileChange, Live, changes, title
from container_pipeline.remote.fleet import Answer, Fleet, ServerTask, finish, parts

_ENVS = (".env", ".env.v1")


def run(run: Run, *, version: str | None = None, accept_new: bool = False) -> None:
    """Compare what a deploy of ``version`` (default: the one built last) would bring with what is on each server.

    Raises SettingsError or StateError for what a deploy would refuse, and the worst error of a server that does not respond.
    """
    upload = release.gather(run, version)
    files = [file for file in upload.files if file.path not in ("release.json", ".stack.yml")]
    sums = {file.path: hashlib.sha256(file.data).hexdigest() for file in files if file.data is not None}
    task = ServerTask(
        parts(run.settings, "diff"),
        {
            "units": "\n".join(upload.release.units),
            "known": "\n".join(f"{value}  {path}" for path, value in sums.items()),
        },
    )
    answers = Fleet(run.settings, run.console, accept_new=accept_new).ask(run.settings.targets(), task)
    found = {answer.target: _compare(answer, files, sums) for answer in answers if not answer.error}
    for answer in answers:
        if not answer.error:
            _show(run, answer, str(upload.release.version), found[answer.target])

    def details(answer: Answer) -> dict[str, Any]:
        changed = found.get(answer.target, [])
        return {"files": [{"path": one.path, "change": one.kind, "lines": list(one.lines)} for one in changed]}

    finish(run.result, run.console, answers, details)


def _compare(answer: Answer, files: Sequence[File], sums: dict[str, str]) -> list[FileChange]:
    """Return the changes on one server."""
    contents = {path: base64.b64decode(text) for text, path in (line.split(" ", 1) for line in answer.all("content"))}
    live = {}
    for line in answer.all("live"):
        value, mode, path = line.split(" ", 2)
        live[path] = Live(value, int(mode, 8), contents.get(path))
    if kept := _added(live.get(".env")):
        files = [replace(file, data=(file.data or b"") + kept) if file.path in _ENVS else file for file in files]
        sums = {
            **sums,
            **{file.path: hashlib.sha256(file.data or b"").hexdigest() for file in files if file.path in _ENVS},
        }
    form = ".env.v1" if answer.facts.get("compose") == "v1" and ".env.v1" in sums else ".env"
    wanted = [file for file in files if file.path not in _ENVS]
    wanted += [File(".env", file.data, file.mode) for file in files if file.path == form]
    return changes(live, wanted, {**sums, ".env": sums[form]})


def _added(env: Live | None) -> bytes:
    """Return the lines that a deploy has added to .env on the server for Compose by hand; the next one writes them again."""
    lines = (env.data or b"").splitlines(keepends=True) if env else []
    return b"".join(line for line in lines if line.startswith((b"COMPOSE_FILE=", b"COMPOSE_PROJECT_NAME=")))


def _show(run: Run, answer: Answer, version: str, changed: list[FileChange]) -> None:
    name, runs = answer.target.name, answer.facts.get("version") or "-"
    if runs == version and not changed:
        run.console.result(_("{server}: a deploy of {version} would change nothing", server=name, version=version))
        return
    run.console.result(_("{server}: {former} → {version}", server=name, former=runs, version=version))
    for change in changed:
        run.console.result(f"  {title(change)}")
        for line in change.lines:
            run.console.result(f"    {line}")
