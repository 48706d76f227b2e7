"""Rollback: an earlier release comes back, on the same way on which it came."""

from __future__ import annotations

from container_pipeline.execute import Run, rollout
from container_pipeline.model import Version
from container_pipeline.plan import deploy as plan
from container_pipeline.remote.fleet import ServerTask, parts


def run(
    run: Run,
    *,
    version: str | None = None,
    rolling: int = 0,
    wait: int = 0,
    accept_new: bool = False,
) -> None:
    """Bring ``version`` back, by default the release that ran before the current one. Raises the error of the worst server."""
    chosen = str(Version(version)) if version else ""
    task = ServerTask(
        parts(run.settings, *rollout.DEPLOY),
        {**rollout.common(run, "rollback", wait), "version": chosen, "size": 0},
        changes=True,
        must=rollout.STEPS,
    )
    groups = plan.groups(run.settings.targets(), rolling)
    steps = [plan.Rollback(group, run.settings.code, chosen) for group in groups]
    rollout.report(run, rollout.on_servers(run, steps, task, accept_new=accept_new), chosen)
