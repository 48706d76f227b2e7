"""Remove old versions from this machine's engine: never latest, one that is kept, or one that a container is made of."""

from __future__ import annotations

from container_pipeline.clients import state
from container_pipeline.commands.actions import Actions
from container_pipeline.execute import Run
from container_pipeline.i18n import _
from container_pipeline.plan.prune import Remove, plan_local
from container_pipeline.plan.steps import Step


def run(run: Run) -> None:
    """Prune what was built or tagged here for either registry; the version that was built last stays, too."""
    settings, actions = run.settings, Actions(run)
    accesses = [settings.access("development"), *([settings.production] if settings.production else [])]
    names = [settings.image(access, "latest") for access in accesses]
    held = {name.with_tag(tag): image for name in names for tag, image in actions.engine.tags(name).items()}
    in_use = {state.last_version(settings.project), *actions.engine.used()}
    steps = plan_local(held, settings.values["keep"], in_use)
    run.execute(steps, lambda step: _remove(actions, step))
    if not steps:
        run.console.line(_("{image} holds no version that may go", image=names[0].name))


def _remove(actions: Actions, step: Step) -> None:
    if isinstance(step, Remove):
        actions.engine.remove(step.image)
