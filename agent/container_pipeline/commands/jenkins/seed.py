"""seed: create and update Jenkins jobs from the jobs file, and print the changes first."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Sequence

from container_pipeline.clients.jenkins import AT_ONCE, Controller, Found
from container_pipeline.errors import JenkinsError, PipelineError
from container_pipeline.execute import Run, jobs_files, seeding
from container_pipeline.i18n import _
from container_pipeline.parallel import in_background, in_parallel
from container_pipeline.plan import seed as plan
from container_pipeline.plan.seed import Change, Item, SeedPlan, State
from container_pipeline.plan.seed.jobplugins import missing_plugins
from container_pipeline.plan.seed.jobs import Job
from container_pipeline.plan.seed.jobtext import MARK
from container_pipeline.result import Jobs


def run(
    run: Run, files: Sequence[str] = ("jobs.yml",), *, prune: bool = False, adopt: bool = False, yes: bool = False
) -> None:
    """Read the files and, at the same time, Jenkins; change what differs.

    Before any change, raises SettingsError for a mistake in a file, and JenkinsError if Jenkins lacks a plugin or, without
    ``yes``, if most of its jobs would go. At the end, raises JenkinsError if some jobs failed or do not belong to seed;
    the others are done by then.
    """
    asked = in_background(lambda: _ask(Controller(run.settings.controller())))
    jobs, sets = jobs_files.load(files, _("nothing was changed on Jenkins"))
    with run.result.step("read"):
        controller, plugins, found = asked()
        state = _gather(controller, plugins, found, jobs, adopt)
    missing = missing_plugins(jobs, state.plugins)
    if missing:
        needs = ", ".join(f"{name} ({job})" for name, job in sorted(missing.items()))
        raise JenkinsError(
            _("this Jenkins lacks plugins that the jobs file needs: {plugins}", plugins=needs),
            _("install them, or use `kind: freestyle`; nothing was changed"),
        )
    made = plan.make(jobs, state, sets, prune=prune, adopt=adopt)
    if made.drastic and not yes:
        if run.dry_run:
            _execute(run, controller, made)
        raise JenkinsError(
            _(
                "this would disable or remove {going} jobs and keep {staying}",
                going=len(made.going),
                staying=made.staying,
            ),
            _("check that the jobs file is complete, then pass --yes; nothing was changed"),
        )
    failed = _execute(run, controller, made)
    _summarise(run, made, failed)


def _ask(controller: Controller) -> tuple[Controller, Collection[str] | None, list[Found]]:
    """Start the queries that do not depend on the files."""
    plugins = in_background(controller.plugins)
    items = controller.items(MARK)
    return controller, plugins(), items


def _gather(
    controller: Controller,
    plugins: Collection[str] | None,
    found: Sequence[Found],
    jobs: Sequence[Job],
    adopt: bool,
) -> State:
    """Return the items in Jenkins that ``jobs`` and seed's earlier jobs refer to."""
    if adopt:
        found = controller.with_configs(found, {job.full_name for job in jobs})
    items = {one.name: Item(one.name, one.config, one.folder) for one in found}
    folders = sorted({name for job in jobs for name in job.folders} | {one.name for one in found if one.folder})
    views = dict(zip(folders, in_parallel(controller.view, folders, AT_ONCE)))
    return State(items, {name: config for name, config in views.items() if config is not None}, plugins)


def _execute(run: Run, controller: Controller, made: SeedPlan) -> dict[str, PipelineError]:
    """Execute the plan phase by phase; return the failures. One failed job does not stop the others."""
    failed: dict[str, PipelineError] = {}
    if run.dry_run:
        run.execute(made.changes, {Change: lambda change: seeding.perform(controller, change)})
        return failed
    lock = threading.Lock()
    with run.console.task(_("seeding"), len(made.changes), _("jobs")) as task:

        def perform(change: Change) -> None:
            if change.label in failed:
                return
            try:
                with run.result.step(change.action):
                    seeding.perform(controller, change)
            except JenkinsError as error:
                with lock:
                    failed[change.label] = error
                run.console.error(f"{change.label}: {error.message}")
            else:
                run.console.line(change.describe())
            task.advance(1)

        for phase in made.phases():
            alone = bool(phase) and phase[0].action in plan.ALONE
            in_parallel(perform, phase, 1 if alone else AT_ONCE)
    return failed


def _summarise(run: Run, made: SeedPlan, failed: dict[str, PipelineError]) -> None:
    """Show the outcome as one table; raise JenkinsError if a job differs from the file."""
    words = _words()
    rows = [(one.label, words[one.action], "") for one in made.changes if one.label not in failed]
    rows += [(name, _("failed"), error.message) for name, error in failed.items()]
    rows += [(one.item, _("left alone"), one.reason) for one in made.refused]
    if run.dry_run:
        for one in made.refused:
            run.console.result(f"{one.item}: {one.reason}")
        texts = [_("{count} to change", count=len(made.changes))] if made.changes else []
    else:
        if rows:
            run.console.table((_("JOB"), _("STATUS"), _("WHY")), rows)
        texts = [f"{count} {word}" for word, count in Counter(word for _item, word, _why in rows).items()]
    run.console.result(", ".join([*texts, _("{count} unchanged", count=len(made.unchanged))]))
    table = [{"name": name, "status": word, "error": why} for name, word, why in rows]
    run.result.add(Jobs(jobs=table, unchanged=len(made.unchanged)))
    bad = [*failed, *(one.item for one in made.refused)]
    if bad:
        raise JenkinsError(
            _(
                "{count} jobs differ from the file: {names}",
                count=len(bad),
                names=", ".join(sorted(bad)[:5]),
            ),
            _("run it again once the cause is gone; what was done stays"),
        )


def _words() -> dict[str, str]:
    return {
        "create-folder": _("created"),
        "move": _("moved"),
        "create": _("created"),
        "update": _("updated"),
        "replace": _("replaced"),
        "disable": _("disabled"),
        "create-view": _("created"),
        "update-view": _("updated"),
        "delete": _("removed"),
        "delete-view": _("removed"),
        "delete-folder": _("removed"),
    }
