"""up, down, restart, pull: run the Compose command on every server, under the lock, with a result for each."""

from __future__ import annotations

from container_pipeline.execute import Run, rollout
from container_pipeline.plan.deploy import Compose
from container_pipeline.remote.fleet import GO, ServerTask, parts
from container_pipeline.result import Override


def run(
    run: Run, action: str, *, service: str = "", override: str = "", wait: int = 0, accept_new: bool = False
) -> None:
    """Run ``action`` on all servers, a restart of ``service`` alone if given; raises the worst server's error.

    ``override``: the reason to go on in spite of a hold or a freeze.
    """
    if action == "up":
        rollout.heed_freeze(run, override)
    step = Compose(run.settings.targets(), run.settings.code, action)
    starts = action in ("up", "restart")
    values = {
        **rollout.common(run, action, wait, login=action in ("up", "pull")),
        "service": service,
        "override": override,
    }
    if override:
        run.result.add(Override(override=override))
    task = ServerTask(parts(run.settings, "control"), values, GO, changes=True, must=("health",) if starts else ())
    answers = rollout.on_servers(run, [step], task, accept_new=accept_new)
    rollout.report(run, answers, running=starts)
