"""Roll back to an earlier release, with the same programs that deploy it."""

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
    """Roll back to ``version`` (default: the previous release). Raises the worst server's error."""
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
