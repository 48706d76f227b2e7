"""docker.sh's commands, one or several: query engine and registries, plan, execute."""

from __future__ import annotations

from collections.abc import Sequence

from container_pipeline.clients import git
from container_pipeline.clients.engine import Image
from container_pipeline.errors import RegistryError
from container_pipeline.execute import Run, building, signing
from container_pipeline.execute.image import Actions
from container_pipeline.i18n import _
from container_pipeline.model import ImageRef, RegistryAccess, Version
from container_pipeline.plan.image import ImageFacts, plan
from container_pipeline.plan.steps import MoveTag
from container_pipeline.project import state


def run(run: Run, words: Sequence[str], version: str | None = None) -> None:
    """Do what docker.sh did for the commands ``words``; raises the first error, after the steps before it.

    Commands that do not build use ``version`` (default: the one built last).
    """
    actions = Actions(run)
    built = None if words[0] == "build" else state.read(run.settings.project)
    if version and (built is None or built.version != version):
        built = state.Built(str(run.settings.repository), str(Version(version)))
    facts = ImageFacts(Version(built.version) if built else None)
    if run.settings.development and not facts.version and words[0].startswith("build"):
        building.check(run.settings)
        facts.new_version = building.new_version(run, actions.engine)
    elif run.settings.development and facts.version:
        _look(actions, words, facts)
    by_hand = words[0] == "push" and not version and not run.settings.in_library
    if built and (words[0] == "build?" or by_hand):
        _warn_of_changes(run, built, "build" if by_hand else f"{run.result.command}-rebuild")
    made = plan(words, run.settings, facts)
    if made.refusal and made.steps:
        run.console.warning(_("this will stop halfway: {problem}", problem=made.refusal.message))
    run.result.version = str(facts.new_version or facts.version or "")
    run.result.digest = built.digest if built else ""
    if words[0] == "push" and not run.dry_run:
        for step in made.steps:
            if isinstance(step, MoveTag) and step.forward:
                actions.latest(step.access, step.source.repository).look_ahead()
    run.execute(made.steps, actions.performers)
    if made.refusal:
        raise made.refusal


def push(run_: Run, latest: bool = False, version: str | None = None) -> None:
    """Push ``version`` (default: the one built last); with ``latest``, also move `latest` here and in the registry."""
    run(run_, ("push", "tag-latest", "push-latest") if latest else ("push",), version)


def _look(actions: Actions, words: Sequence[str], facts: ImageFacts) -> None:
    """Record what the engine and, for a push, the registries hold of the version and of `latest`."""
    settings, version = actions.run.settings, str(facts.version)
    pushes = any(word.startswith("push") for word in words)
    if pushes:
        signing.check(settings)
    for access in (settings.development, settings.production):
        if access is None:
            continue
        image = settings.image(access, version)
        for name in (image, image.with_tag("latest")):
            found = actions.engine.image(name)
            if found:
                facts.engine[str(name)] = found.id
        asked = access.role == "development" or any("prod" in word for word in words)
        if pushes and asked and access.user and access.password:
            needed = access.role == "production" or any(word == "push" for word in words)
            held = _held(actions, image, access, needed)
            if held:
                facts.registries[str(image)] = held


def _held(actions: Actions, image: ImageRef, access: RegistryAccess, needed: bool) -> str:
    """Return the id of the image that a registry holds as ``image``, or "".

    A registry that is only asked to save work counts as empty if it does not respond.
    """
    built = actions.run.settings.image(actions.run.settings.access("development"), image.tag)
    try:
        return actions.held(image, access, actions.engine.image(built) or Image(""))
    except RegistryError as error:
        if needed:
            raise
        actions.run.console.detail(error.message)
        return ""


def _warn_of_changes(run: Run, built: state.Built, command: str) -> None:
    sources = git.sources(*building.paths(run.settings))
    if built.sources and built.sources != sources.fingerprint:
        run.console.warning(
            _(
                "the sources have changed since {version} was built, so this publishes the old image; `{command}` builds again",
                version=built.version,
                command=f"container-pipeline {command}",
            )
        )
