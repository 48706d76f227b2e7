"""Remove old versions from a registry or this machine's engine, but never `latest` or a version that is kept or in use."""

from __future__ import annotations

from dataclasses import replace

from container_pipeline.clients.registry import referrers
from container_pipeline.clients.registry.client import CONNECTIONS
from container_pipeline.clients.registry.copy import Place
from container_pipeline.execute import Run
from container_pipeline.execute.image import Actions
from container_pipeline.i18n import _
from container_pipeline.model import Digest, RegistryAccess
from container_pipeline.parallel import in_parallel
from container_pipeline.plan.prune import Delete, Held, Remove, going, plan, plan_local
from container_pipeline.project import state


def run(run: Run, *, production: bool = False) -> None:
    """Prune the development registry, or production with ``production``. Stops if any server does not respond."""
    access = run.settings.access("production" if production else "development")
    actions = Actions(run)
    image = run.settings.image(access, "latest")
    held = _held(actions, access)
    in_use = _in_use(run)
    held = _with_referrers(actions, access, held, going(held, run.settings.values.keep, in_use))
    steps = plan(image, access, held, run.settings.values.keep, in_use)
    run.execute(steps, {Delete: lambda step: _delete(actions, step, held)})
    if not steps:
        run.console.line(_("{image} holds no version to remove", image=image.name))
    elif not run.dry_run:
        run.console.line(_("the registry frees the space at its next garbage collection"))


def _delete(actions: Actions, step: Delete, held: Held) -> None:
    """Delete one manifest, unless another promotion or push has moved a tag since the plan was made."""
    registry, repository, planned = actions.registry(step.access), step.image.repository, held.tags[step.image.tag]
    now = registry.resolve(repository, step.image.tag)
    if now not in (None, planned) or registry.resolve(repository, "latest") == planned:
        actions.run.console.line(_("kept {image}: a tag has just been moved", image=step.image))
        return
    registry.delete(repository, step.digest)


def _held(actions: Actions, access: RegistryAccess) -> Held:
    repository, registry = actions.run.settings.repository, actions.registry(access)
    tags = registry.tags(repository)
    manifests = in_parallel(lambda tag: registry.find_manifest(repository, tag), tags, CONNECTIONS)
    # Another run has deleted or moved a tag that is gone by now.
    found = {tag: manifest for tag, manifest in zip(tags, manifests) if manifest}
    parts: dict[Digest, list[Digest]] = {
        manifest.digest: [child.digest for child in manifest.children]
        for manifest in found.values()
        if manifest.children
    }
    subjects = {tag: subject for tag in found if (subject := referrers.subject_of(tag))}
    return Held({tag: manifest.digest for tag, manifest in found.items()}, parts, subjects)


def _with_referrers(actions: Actions, access: RegistryAccess, held: Held, subjects: list[Digest]) -> Held:
    """Ask what refers to the manifests that go."""
    if not subjects:
        return held
    place = Place(actions.registry(access), actions.run.settings.repository)
    found: dict[Digest, list[Digest]] = {}
    for one in referrers.find(place, subjects, actions.run.console.detail, tags=held.tags):
        found.setdefault(one.subject, []).extend(each.digest for each in one.manifests[::-1])
    return replace(held, referrers=found)


def _in_use(run: Run) -> set[str]:
    """Return the versions that the servers of all environments keep."""
    targets = run.settings.all_targets()
    if not targets:
        return set()
    from container_pipeline.commands.server import history

    return history.versions_in_use(replace(run, settings=replace(run.settings, servers=targets)))


def local(run: Run) -> None:
    """Prune images that were built or tagged here for either registry; the version built last stays too."""
    settings, actions = run.settings, Actions(run)
    accesses = [settings.access("development"), *([settings.production] if settings.production else [])]
    names = [settings.image(access, "latest") for access in accesses]
    held = {name.with_tag(tag): image for name in names for tag, image in actions.engine.tags(name).items()}
    in_use = {state.last_version(settings.project), *actions.engine.used()}
    steps = plan_local(held, settings.values.keep, in_use)
    run.execute(steps, {Remove: lambda step: actions.engine.remove(step.image)})
    if not steps:
        run.console.line(_("{image} holds no version to remove", image=names[0].name))
