"""Jobs as data for the Job DSL script, so that both ways of seeding share the evaluation of the jobs file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from container_pipeline.plan.seed.jobs import Job
from container_pipeline.plan.seed.jobtext import Marker, described, jenkinsfile, shell_step
from container_pipeline.plan.seed.jobxml import scan_interval, scan_spec, view_regex

#: File in the workspace that the script reads.
FILE = "container-pipeline-jobs.json"


def data(jobs: Sequence[Job]) -> str:
    """Return the data for the script: everything that depends on the jobs file, so that one approval of the script lasts."""
    content = {"folders": _folders(jobs), "jobs": [_data(job) for job in jobs]}
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def _folders(jobs: Sequence[Job]) -> list[dict[str, str]]:
    found: dict[str, str] = {}
    for job in jobs:
        for folder in job.folders:
            found.setdefault(folder, job.set_name)
    order = sorted(found, key=lambda name: (name.count("/"), name))
    return [{"name": name, "description": str(Marker(found[name])), "regex": view_regex(name)} for name in order]


def _data(job: Job) -> dict[str, Any]:
    """Return the script's data about one job, without empty values."""
    triggers = dict(job.triggers or {})
    scan = scan_interval(triggers["scan"]) if "scan" in triggers else 0
    data: dict[str, Any] = {
        "name": job.full_name,
        "kind": job.kind,
        "id": job.code,
        "description": described(job),
        "disabled": job.disabled,
        "keepBuilds": job.keep_builds,
        "keepDays": job.keep_days,
        "parameters": list(job.parameters),
        "cron": triggers.get("cron"),
        "poll": triggers.get("poll"),
        "webhook": triggers.get("webhook"),
        "scan": {"spec": scan_spec(scan), "interval": scan} if scan else None,
        "credentials": job.credentials,
        "branches": list(job.branches),
        "jenkinsfile": job.jenkinsfile,
        "repository": job.repository if job.uses_git_plugin else None,
    }
    if job.kind == "freestyle":
        data["command"] = shell_step(job)
        data["label"] = (job.pipeline or {}).get("node")
    elif job.pipeline is not None:
        data["script"] = jenkinsfile(job)
    return {key: value for key, value in data.items() if value}
