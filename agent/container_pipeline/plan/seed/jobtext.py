"""Creates the texts inside a job: the marker in its description, an inline Jenkinsfile, a freestyle job's shell step."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from container_pipeline.keys import BY_NAME, camel
from container_pipeline.plan.seed.jobs import Job

#: Prefix of every marker, by which seed finds its items in Jenkins.
MARK = "Seeded by container-pipeline"
_MARKER = re.compile(MARK + r" \((\S+)(?: (\S+) (\S+))?\); change the jobs file, not this job\.")


@dataclass(frozen=True)
class Marker:
    """The origin of an item, from its description: the jobs file's name and the job's project.

    ``code`` and ``repository`` identify a job after a rename or move; a folder has neither.
    """

    set_name: str
    code: str = ""
    repository: str = ""

    def __str__(self) -> str:
        identity = f"{self.set_name} {self.code} {self.repository}" if self.code else self.set_name
        return f"{MARK} ({identity}); change the jobs file, not this job."


def find_marker(description: str) -> Marker | None:
    """Return the marker on the description's last line; None for an item that seed did not create."""
    lines = description.strip().splitlines()
    found = _MARKER.fullmatch(lines[-1].strip()) if lines else None
    return Marker(found[1], found[2] or "", found[3] or "") if found else None


def described(job: Job) -> str:
    """Return the job's description with its marker."""
    marker = str(Marker(job.set_name, job.code, job.repository))
    return f"{job.description}\n\n{marker}" if job.description else marker


def jenkinsfile(job: Job) -> str:
    """Return the inline Jenkinsfile of a job whose repository has none."""
    keys = dict(job.pipeline or {})
    label = keys.pop("node", "")
    arguments = ", ".join(f"{name}: {value}" for name, value in _arguments({"code": job.code, **keys}).items())
    checkout = f"git url: {groovy(job.repository)}, branch: {groovy(job.branches[0])}"
    if job.credentials:
        checkout += f", credentialsId: {groovy(job.credentials)}"
    lines = [f"@Library({groovy(job.library)}) _", ""] if job.library else []
    lines += [
        f"node({groovy(label) if label else ''}) {{",
        f"    {checkout}",
        f"    containerPipeline({arguments})",
        "}",
        "",
    ]
    return "\n".join(lines)


def _arguments(keys: Mapping[str, Any]) -> dict[str, str]:
    return {
        BY_NAME[name].camel if name in BY_NAME else name: groovy(_camel_ids(name, value))
        for name, value in keys.items()
    }


def _camel_ids(name: str, value: Any) -> Any:
    if name != "credentials":
        return value
    return {camel(key): item for key, item in value.items()}


def groovy(value: Any) -> str:
    """Return ``value`` as a Groovy literal; strings in single quotes, without interpolation."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
        return f"'{escaped}'"
    if isinstance(value, Mapping):
        entries = ", ".join(f"{_groovy_key(str(key))}: {groovy(item)}" for key, item in value.items())
        return f"[{entries or ':'}]"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(groovy(item) for item in value)}]"
    return "null" if value is None else str(value)


def _groovy_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key) else groovy(key)


def shell_step(job: Job) -> str:
    """Return the shell step of a freestyle job; settings are passed as variables, as from a pipeline."""
    lines = ["#!/bin/sh -e"]
    if not job.uses_git_plugin:
        repository, branch = shlex.quote(job.repository), shlex.quote(job.branches[0])
        lines += [
            "[ -d .git ] || git init -q",
            f"git fetch -q --depth 1 {repository} {branch}",
            "git checkout -q -f FETCH_HEAD",
        ]
    keys = {"code": job.code, **(job.pipeline or {})}
    for name, value in keys.items():
        if name in BY_NAME:
            lines.append(f"export {BY_NAME[name].variable}={shlex.quote(_variable(value))}")
    return "\n".join([*lines, "exec container-pipeline ship", ""])


def _variable(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)
