"""Reads jobs files into validated jobs; reports all mistakes of all files at once, with file and line."""

from __future__ import annotations

from collections.abc import Sequence

from container_pipeline.errors import SettingsError
from container_pipeline.i18n import _
from container_pipeline.plan.seed import jobs as plan_jobs
from container_pipeline.plan.seed import schema
from container_pipeline.plan.seed.jobs import Job
from container_pipeline.plan.seed.schema import Problem
from container_pipeline.project import jobs_file

#: Most mistakes shown at once.
SHOWN = 20


def load(patterns: Sequence[str], hint: str = "") -> tuple[list[Job], set[str]]:
    """Return the jobs of all files and the names of the files; raises SettingsError with all mistakes, and this hint."""
    rules = jobs_file.schema()
    jobs: list[Job] = []
    mistakes: list[str] = []
    names: set[str] = set()
    places: dict[str, str] = {}
    folders: dict[str, str] = {}
    for file in jobs_file.read(patterns):
        problems = list(schema.check(rules, file.data))
        if not problems:
            found, problems = plan_jobs.read(file.data)
            names.add(file.data.get("name", "jobs"))
            jobs += found
            problems += _twice(found, file.path, places, folders)
        mistakes += [_tell(file, problem) for problem in problems[:SHOWN]]
    if mistakes:
        raise SettingsError(mistakes[-1], hint, details=mistakes[:-1])
    return jobs, names


def _tell(file: jobs_file.JobsFile, problem: Problem) -> str:
    text = f"{file.path}:{file.line(problem.path)}: {problem.message}"
    return f"{text} ({problem.hint})" if problem.hint else text


def _twice(found: Sequence[Job], path: str, places: dict[str, str], folders: dict[str, str]) -> list[Problem]:
    """Refuse two projects with one full name, which would overwrite each other's job, and a job with the name of a folder.

    Jenkins ignores case.
    """
    problems = []
    for index, job in enumerate(found):
        name = job.full_name.casefold()
        if name in places:
            message = _("job {name} is defined twice: also in {other}", name=job.full_name, other=places[name])
            problems.append(Problem(("projects", index), message))
        places.setdefault(name, path)
        folders.update({folder.casefold(): folder for folder in job.folders})
        for both in (name, *(folder.casefold() for folder in job.folders)):
            if both in places and both in folders:
                problems.append(
                    Problem(("projects", index), _("{name} is both a job and a folder", name=folders[both]))
                )
    return problems
