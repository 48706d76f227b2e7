"""Roll back to an earlier release, with the same programs that deploy it."""

from __future__ import annotations

from container_pipeline.commands.server import history
from container_pipeline.execute import Run, rollout, verification
from container_pipeline.i18n import _
from container_pipeline.model import Digest, Version
from container_pipeline.plan import deploy as plan
from container_pipeline.remote.fleet import GO, ServerTask, parts


def run(
    run: Run,
    *,
    version: str | None = None,
    rolling: int = 0,
    wait: int = 0,
    accept_new: bool = False,
    no_verify: str = "",
) -> None:
    """Roll back to ``version`` (default: the previous release). Raises the worst server's error.

    ``no_verify``: why a release without a signature may run, although the project has keys; kept in the history.
    """
    chosen = str(Version(version)) if version else ""
    values: dict[str, object] = {"version": chosen, "size": 0, "unverified": no_verify}
    if run.settings.values.verify and not no_verify:
        verification.check(run.settings)
        values["signed"] = " ".join(_signed(run, chosen, accept_new=accept_new))
    task = ServerTask(
        parts(run.settings, *rollout.DEPLOY),
        {**rollout.common(run, "rollback", wait), **values},
        GO,
        changes=True,
        must=rollout.STEPS,
    )
    if run.dry_run and not chosen:
        _announce(run, accept_new=accept_new)
    groups = plan.groups(run.settings.targets(), rolling)
    steps = [plan.Rollback(group, run.settings.code, chosen) for group in groups]
    answers = rollout.on_servers(run, steps, task, accept_new=accept_new)
    rollout.report(run, answers, chosen)
    rollout.tell_latest(run, answers)


def _announce(run: Run, *, accept_new: bool) -> None:
    """Print which release each server would run again."""
    for answer in history.ask(run, accept_new=accept_new):
        former, version = answer.facts.get("version", ""), answer.facts.get("previous", "")
        server = answer.target.name
        if answer.error:
            run.console.error(str(answer.error))
        elif version:
            run.console.result(_("{server}: {former} → {version}", server=server, former=former, version=version))
        else:
            run.console.result(_("{server}: there is no previous release", server=server))


def _signed(run: Run, version: str, *, accept_new: bool) -> list[str]:
    """Return the digests of kept releases that may run again; "none" if no release may.

    The server chooses the release, and refuses one that is not among them.
    """
    kept = [one for answer in history.ask(run, accept_new=accept_new) for one in history.releases(answer)]
    digests = [str(one.get("digest", "")) for one in kept if version in ("", one["version"])]
    known = [Digest(digest) for digest in digests if digest]
    good, problems = verification.signed(run, run.settings.pull_from(), known)
    for problem in problems:
        run.console.warning(problem.message)
    return [str(digest) for digest in good] or ["none"]
