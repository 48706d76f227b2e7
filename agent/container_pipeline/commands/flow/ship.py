"""The standard flow for a person: build, push, promote, deploy."""

from __future__ import annotations

import sys

import click

from container_pipeline.commands.image import words
from container_pipeline.commands.registry import promote
from container_pipeline.commands.server import deploy
from container_pipeline.errors import Stopped, UsageError
from container_pipeline.execute import Run, building, release, rollout
from container_pipeline.i18n import _
from container_pipeline.plan.flow import Stage, Wishes, stages
from container_pipeline.plan.image import WORDS
from container_pipeline.plan.steps import MoveTag, Promote
from container_pipeline.result import StepResult


def run(run: Run, *, yes: bool = False, no_release: bool = False) -> None:
    """Build, push, promote and deploy. What a later stage would lack is refused before the first stage.

    Stages that do not apply are absent, as in a Jenkinsfile, and the log says why; so are those that a multibranch job
    of Jenkins does not have for this branch. Where the project asks for approval, so does this, unless ``yes``; whoever
    types this may answer. ``no_release``: as for ``deploy``.
    """
    if run.settings.values.environments:
        run.settings.targets()
    present, absent = stages(run.settings, [], Wishes(approve=run.settings.values.approve or False))
    if any(stage.question for stage in present) and not (yes or run.dry_run or sys.stdin.isatty()):
        raise UsageError(
            _("this project asks for approval (`approve`), and nobody can answer here"), _("pass --yes to approve")
        )
    _check(run, [stage.command for stage in present])
    for sentence in absent:
        run.console.line(sentence)
    words.run(run, [word for stage in present for word in _words(stage)])
    version = run.result.version
    for stage in present:
        if run.dry_run:
            _announce(run, stage, version)
        elif stage.question and not (yes or click.confirm(stage.question, err=True)):
            raise Stopped(_("not approved: {version} was pushed, and nothing else was done", version=version), 1)
        elif stage.command == "promote":
            promote.run(run, version)
        elif stage.command == "deploy":
            deploy.run(run, version=version, keep_newer=True, no_release=no_release)


def _words(stage: Stage) -> tuple[str, ...]:
    """Return docker.sh's words for a stage."""
    if stage.command == "push":
        return WORDS["pipeline"][1:] if "--latest" in stage.arguments else ("push",)
    return ("build",) if stage.command == "build" else ()


def _check(run: Run, commands: list[str]) -> None:
    settings = run.settings
    if "deploy" in commands:
        rollout.heed_freeze(run, "")
    building.check(settings)
    settings.access("development", login="push" in commands)
    if "promote" in commands:
        settings.access("production", login=True)
    if "deploy" in commands:
        release.check(run)


def _announce(run: Run, stage: Stage, version: str) -> None:
    """Print the stages that a dry run cannot plan in full: the image is not built yet, so its digest is unknown."""
    settings = run.settings
    if stage.command == "promote":
        development, production = settings.access("development"), settings.access("production")
        source, target = settings.image(development, version), settings.image(production, version)
        run.console.result(Promote(source, target, (version,), development, production).describe())
        if settings.values.latest:
            run.console.result(MoveTag(target, "latest", production).describe())
    elif stage.command == "deploy":
        servers = ", ".join(target.name for target in settings.targets())
        run.console.result(
            _("deploy {code} {version} to {servers}", code=settings.code, version=version, servers=servers)
        )
    else:
        return
    run.result.steps.append(StepResult(stage.command, "planned"))
