"""Deploy: the version runs on every server, healthy; or the former one runs there again."""

from __future__ import annotations

from container_pipeline.clients import remote
from container_pipeline.commands import release, rollout
from container_pipeline.commands.release import Upload
from container_pipeline.commands.servers import Task, parts
from container_pipeline.execute import Run
from container_pipeline.plan import deploy as plan


def run(
    run: Run,
    *,
    version: str | None = None,
    rolling: int = 0,
    wait: int = 0,
    accept_new: bool = False,
) -> None:
    """Deploy ``version``, by default the one built last.

    ``rolling``: so many servers at a time, the next only when these are healthy. ``wait``: seconds for another run's lock.
    Raises the error of the worst server; each server's own result is in ``run.result``.
    """
    upload = release.gather(run, version)
    steps = [plan.Deploy(group, upload.release) for group in plan.groups(run.settings.targets(), rolling)]
    answers = rollout.on_servers(run, steps, _task(run, upload, wait), accept_new=accept_new)
    rollout.report(run, answers, str(upload.release.version))


def _task(run: Run, upload: Upload, wait: int) -> Task:
    this = upload.release
    payload = remote.bundle(upload.files)
    values = {
        **rollout.common(run, "deploy", wait),
        "version": this.version,
        "digest": this.digest,
        "image": this.image.name,
        "services": " ".join(this.services),
        "units": "\n".join(this.units),
        "size": len(payload),
    }
    return Task(parts(run, "switch", "deploy"), values, payload)
