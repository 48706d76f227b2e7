"""Write the report of a run of the Jenkins library, and notify a webhook."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from container_pipeline.clients import notify
from container_pipeline.errors import PipelineError, UsageError
from container_pipeline.execute import Run
from container_pipeline.i18n import _
from container_pipeline.model import Secret
from container_pipeline.outside import LARGEST, maps, read_file, read_json
from container_pipeline.plan.report import BuildOrigin, html, overtaken, title
from container_pipeline.project import files
from container_pipeline.result import Files


def report(run: Run, results: Path, webhook: Secret, kind: str) -> None:
    """Write ``container-pipeline-CODE.html`` beside ``results``; a failing webhook is only a warning."""
    told = run.console.redact.within(_read(results))
    build_url = run.settings.build_url
    page = results.parent / f"container-pipeline-{run.settings.code}.html"
    files.replace(page, html(told, _origin(build_url)))
    run.result.add(Files(files=[page.name]))
    if webhook:
        run.console.redact.add([webhook])
        try:
            notify.send(webhook, message(told, build_url), kind)
        except PipelineError as problem:
            run.console.line(_("warning: the notification failed: {problem}", problem=problem.message))


def _origin(build_url: str) -> BuildOrigin:
    """Return the variables that Jenkins, and its plugins if installed, set for a build."""
    branch = os.environ.get("BRANCH_NAME") or os.environ.get("GIT_BRANCH", "")
    who = os.environ.get("BUILD_USER") or os.environ.get("CHANGE_AUTHOR", "")
    return BuildOrigin(build_url, branch, who, time.strftime("%Y-%m-%d %H:%M:%S %z"))


def message(results: Sequence[Mapping[str, Any]], build_url: str) -> str:
    """Return one message with what was deployed or what failed."""
    bad = next((result for result in results if result.get("error")), None)
    if bad and overtaken(bad):
        head = _("– {what}: {problem}", what=title(results), problem=bad["error"]["message"])
    elif bad:
        head = _(
            "✘ {what}: {command} failed: {problem}",
            what=title(results),
            command=bad["command"],
            problem=bad["error"]["message"],
        )
    else:
        servers = [str(server["name"]) for result in results for server in result.get("servers") or []]
        head = _("✔ {what}: {done}", what=title(results), done=", ".join(str(result["command"]) for result in results))
        head += f" → {', '.join(servers)}" if servers else ""
    return "\n".join(filter(None, (head, build_url)))


def _read(path: Path) -> list[Mapping[str, Any]]:
    try:
        data = read_json(read_file(path, LARGEST), dict)
    except (OSError, ValueError) as error:
        raise UsageError(_("{path} contains no results", path=path)) from error
    if not isinstance(data.get("results"), list):
        raise UsageError(_("{path} contains no results", path=path))
    return list(maps(data, "results"))
