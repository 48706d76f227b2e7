"""Write the report of a run of the Jenkins library, and tell a chat."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from container_pipeline.errors import PipelineError, UsageError
from container_pipeline.execute import Run, notice
from container_pipeline.i18n import _
from container_pipeline.outside import LARGEST, maps, pick, read_file, read_json
from container_pipeline.plan.message import message
from container_pipeline.plan.report import BuildOrigin, html
from container_pipeline.project import files, state
from container_pipeline.result import Files
from container_pipeline.settings import load


def report(run: Run, results: Path) -> None:
    """Write ``container-pipeline-CODE.html`` beside ``results``, and tell the chat; that a webhook fails is only a warning.

    While a question stands there is no page yet; its message has the commits since what `status` found on the servers.
    """
    data = _read(results)
    told = run.console.redact.within(maps(data, "results"))
    build_url, question = run.settings.build_url, pick(data, "question", str)
    if not question:
        page = results.parent / f"container-pipeline-{run.settings.code}.html"
        files.replace(page, html(told, _origin(build_url)))
        run.result.add(Files(files=[page.name]))
    else:
        told = [_with_commits(result) for result in told]
    found = message(
        told,
        build_url,
        question=question,
        unfinished=pick(data, "unfinished", str),
        failed_before=pick(data, "failed_before", bool),
    )
    notice.send(run, found, _notify(run))


def _with_commits(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the result of `status` with the commits that the build in the current folder would bring; others as they are."""
    if result.get("command") != "status":
        return result
    before = next((commit for server in maps(result, "servers") if (commit := pick(server, "commit", str))), "")
    with suppress(PipelineError):
        settings = load(Path.cwd(), {})
        built = state.read(settings.project)
        return {**result, "commits": notice.commits(settings, before, built.revision if built else "")}
    return result


def _notify(run: Run) -> Mapping[str, Any]:
    """Return ``notify`` of the project in the current folder; of the Jenkinsfile alone if its file cannot be read."""
    try:
        return load(Path.cwd(), {}).values.notify
    except PipelineError:
        return run.settings.values.notify


def _origin(build_url: str) -> BuildOrigin:
    """Return the variables that Jenkins, and its plugins if installed, set for a build."""
    branch = os.environ.get("BRANCH_NAME") or os.environ.get("GIT_BRANCH", "")
    who = os.environ.get("BUILD_USER") or os.environ.get("CHANGE_AUTHOR", "")
    return BuildOrigin(build_url, branch, who, time.strftime("%Y-%m-%d %H:%M:%S %z"))


def _read(path: Path) -> dict[str, Any]:
    try:
        data = read_json(read_file(path, LARGEST), dict)
    except (OSError, ValueError) as error:
        raise UsageError(_("{path} contains no results", path=path)) from error
    if not isinstance(data.get("results"), list):
        raise UsageError(_("{path} contains no results", path=path))
    return data
