"""Print the stages of this project for the Jenkins library, before the first one runs."""

from __future__ import annotations

from typing import Callable

from container_pipeline.commands.library.carry import possible
from container_pipeline.errors import SettingsError
from container_pipeline.execute import Run, release
from container_pipeline.i18n import _
from container_pipeline.outside import Unreadable, read_json
from container_pipeline.plan.branches import unreachable
from container_pipeline.plan.flow import stages
from container_pipeline.plan.jenkinsfile import wishes_of
from container_pipeline.result import Stages
from container_pipeline.settings import Settings


def tell(run: Run, wishes: str, enter: Callable[[str], Settings]) -> None:
    """Return the stages; the log explains each skipped one. ``enter`` returns an environment's settings."""
    settings = run.settings
    try:
        wished, names = wishes_of(read_json(wishes, dict))
    except Unreadable as error:
        raise SettingsError(
            _("{place} cannot be read: {problem}", place=error.place("--wishes"), problem=error.problem)
        ) from error
    environments = [(name, enter(name)) for name in names]
    present, absent = stages(settings, environments, wished)
    for stage in present:
        if stage.command == "deploy" and wished.secret_env is not None and stage.environment not in wished.secret_env:
            release.insist_env(next((one for name, one in environments if name == stage.environment), settings))
    if settings.ref.name:
        absent += unreachable(settings, names)
    run.console.line(_("stages of {code}: {names}", code=settings.code, names=", ".join(each.name for each in present)))
    for sentence in absent:
        run.console.line(sentence)
    carries = possible(settings, [one for _name, one in environments])
    run.result.add(Stages(stages=[stage.as_dict() for stage in present], absent=absent, carries=carries))
