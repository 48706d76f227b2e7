"""The Jenkins plugins that jobs need."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from container_pipeline.plan.seed.jobs import Job


def missing_plugins(jobs: Iterable[Job], plugins: Collection[str] | None) -> dict[str, str]:
    """Return plugin → first job that needs it, for missing plugins; empty if the account may not list plugins."""
    missing: dict[str, str] = {}
    if plugins is None:
        return missing
    for job in jobs:
        for choice in _plugins(job):
            if not any(name in plugins for name in choice):
                missing.setdefault(choice[0], job.full_name)
    return missing


def _plugins(job: Job) -> Iterator[tuple[str, ...]]:
    """Yield the plugins of a job, each with its older names."""
    if job.folder:
        yield ("cloudbees-folder",)
    if job.uses_git_plugin:
        yield ("git",)
    if job.kind == "pipeline":
        yield from (("workflow-job",), ("workflow-cps",))
    if job.kind == "multibranch":
        yield ("workflow-multibranch",)
    if job.pipeline is not None and job.kind == "pipeline" and job.library:
        yield ("pipeline-groovy-lib", "workflow-cps-global-lib")
    if (job.triggers or {}).get("webhook"):
        yield ("generic-webhook-trigger",)
