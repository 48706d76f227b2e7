"""Deploy a version to every server; roll back where it is not healthy."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any

from container_pipeline.execute import Run, release, rollout, verification
from container_pipeline.execute.release import Upload
from container_pipeline.plan import deploy as plan
from container_pipeline.plan import resolved
from container_pipeline.remote import transfer
from container_pipeline.remote.fleet import GO, ServerTask, parts
from container_pipeline.remote.once import Once
from container_pipeline.result import Approved, Override


def run(
    run: Run,
    *,
    version: str | None = None,
    keep_newer: bool = False,
    override: str = "",
    rolling: int = 0,
    wait: int = 0,
    accept_new: bool = False,
    no_release: bool = False,
) -> None:
    """Deploy ``version`` (default: the one built last).

    ``keep_newer``: leave a release that was built later in place; always so without ``version``.
    ``override``: the reason to go on in spite of a hold or a freeze.
    ``rolling``: number of servers at a time; the next ones follow once these are healthy. ``wait``: seconds to wait for the lock.
    ``no_release``: skip the command in the key ``release``.
    Raises the worst server's error; each server's result is in ``run.result``.
    """
    rollout.heed_freeze(run, override)
    verification.check(run.settings)
    upload = release.gather(run, version)
    verification.verify(run, run.settings.pull_from(), upload.release.digest)
    command = {} if no_release else run.settings.values.release
    task = _task(run, upload, wait, command, keep_newer=keep_newer or not version, override=override)
    if run.settings.approved_by:
        run.result.add(Approved(approved_by=run.settings.approved_by))
    if override:
        run.result.add(Override(override=override))
    words = tuple(command.get("command", ()))
    steps = [plan.Deploy(group, upload.release, words) for group in plan.groups(run.settings.targets(), rolling)]
    answers = rollout.on_servers(run, steps, task, accept_new=accept_new)
    if run.settings.tells_a_chat:
        from container_pipeline.execute import notice

        notice.add_commits(run, answers, upload.release.commit)
    rollout.report(run, answers, str(upload.release.version), promoted=True)


def _task(
    run: Run, upload: Upload, wait: int, command: Mapping[str, Any], *, keep_newer: bool, override: str
) -> ServerTask:
    this = upload.release
    programs: tuple[str, ...] = rollout.DEPLOY
    service = str(command.get("service") or this.code)
    files = transfer.bundle(upload.files)
    values = {
        **rollout.common(run, "deploy", wait),
        "version": this.version,
        "digest": this.digest,
        "created": this.created,
        "keep_newer": keep_newer,
        "override": override,
        "image": this.image.name,
        "familiar": this.image.familiar,
        "services": " ".join(this.services),
        "units": "\n".join(this.units),
        "size": len(files),
    }
    if command:
        program, *arguments = command["command"]
        values["release_program"] = shlex.quote(program)
        values["release_arguments"] = shlex.join(arguments)
        values["release_service"] = service
        values["release_timeout"] = command["timeout"]
        programs = ("once", *programs)
    if run.settings.values.check:
        asked = run.settings.values.check
        values.update({f"check_{name}": asked[name] for name in ("path", "port", "within", "host")})
        values["check_status"] = " ".join(asked["status"])
        programs = ("check", *programs)
    if run.settings.values.drain:
        values["drain"] = True
        values["drain_command"] = shlex.join(run.settings.values.drain["command"])
        values["drain_seconds"] = run.settings.values.drain["seconds"]
        programs = ("drain", *programs)
    return ServerTask(
        parts(run.settings, *programs),
        values,
        GO + files,
        changes=True,
        must=rollout.STEPS,
        judge=_judge(run, upload, service if command else ""),
        once=Once(run.settings.targets()) if command else None,
    )


def _judge(run: Run, upload: Upload, service: str) -> Callable[[str, str, bytes], resolved.Verdict]:
    """Return the function that judges a resolved Compose file; ``service`` is the release command's, or ""."""
    settings = run.settings
    file, start_first = settings.values.compose_file, settings.values.strategy == "start-first"

    def judge(generation: str, folder: str, form: bytes) -> resolved.Verdict:
        read = resolved.read(form, generation, folder)
        this = upload.release
        verdict = resolved.judge(
            read, this.code, this.image, upload.profiles, upload.variables, start_first=start_first, file=file
        )
        if service:
            verdict = resolved.throwaway(read, verdict, this.code, service, this.image, this.digest, file)
        return verdict

    return judge
