"""Executes the changes of a seed plan, and touches only the items in the plan.

Jenkins has no conditional writes. So an item's ownership mark is read right before each change; and because a redirect
can mean both done and refused, the state afterwards decides.
"""

from __future__ import annotations

from typing import Callable, Optional

from container_pipeline.clients.jenkins import Controller
from container_pipeline.clients.jenkins_wire import RefusedError
from container_pipeline.errors import JenkinsError
from container_pipeline.i18n import _
from container_pipeline.plan.seed import Change, configxml, mark_of
from container_pipeline.plan.seed.jobxml import FOLDER

#: Functions that read (None if missing) and write an item's configuration by its full name.
_Read = Callable[[str], Optional[str]]
_Write = Callable[[str, str], object]


def perform(jenkins: Controller, change: Change) -> None:
    """Execute one change; raises JenkinsError if Jenkins refuses it or the item is not the planned one."""
    _ACTIONS[change.action](jenkins, change)


def _make(change: Change, make: _Write, read: _Read, ours: Callable[[str], bool]) -> None:
    """Create the item of ``change``. An existing one is fine if it is ``ours``: the response of an earlier try may have been lost."""
    try:
        make(change.item, change.config)
    except RefusedError as error:
        has = read(change.item) if error.status in (400, 500) else None
        if has is None:
            raise
        if not ours(has):
            raise JenkinsError(
                _("{item} was left alone: somebody else created it meanwhile", item=change.item)
            ) from error


def _create(jenkins: Controller, change: Change) -> None:
    """Create a job. An existing one with the same mark comes from an earlier attempt."""
    _make(change, jenkins.create, jenkins.config, lambda has: mark_of(has) == mark_of(change.config))


def _create_folder(jenkins: Controller, change: Change) -> None:
    """Create a folder. An existing one is fine, whoever created it."""
    _make(change, jenkins.create, jenkins.config, lambda has: configxml.parse(has).tag == FOLDER)


def _create_view(jenkins: Controller, change: Change) -> None:
    _make(change, jenkins.create_view, jenkins.view, lambda has: bool(mark_of(has)))


def _update(jenkins: Controller, change: Change) -> None:
    _insist(change, jenkins.config(change.item))
    jenkins.write(change.item, change.config)


def _update_view(jenkins: Controller, change: Change) -> None:
    _insist(change, jenkins.view(change.item))
    jenkins.write_view(change.item, change.config)


def _replace(jenkins: Controller, change: Change) -> None:
    """Remove a job and create it again, because Jenkins cannot change a job's kind."""
    _delete(jenkins, change)
    _create(jenkins, change)


def _disable(jenkins: Controller, change: Change) -> None:
    _insist(change, jenkins.config(change.item))
    jenkins.disable(change.item)
    if "disabled: true" not in configxml.canonical(jenkins.config(change.item) or "<gone/>"):
        raise JenkinsError(_("Jenkins accepted the request, but did not disable {item}", item=change.item))


def _remove(change: Change, delete: Callable[[str], object], read: _Read) -> None:
    """Remove the item of ``change`` if it exists and is still the planned one."""
    has = read(change.item)
    if has is None:
        return
    _insist(change, has)
    delete(change.item)
    if read(change.item) is not None:
        raise JenkinsError(_("Jenkins accepted the request, but did not remove {item}", item=change.item))


def _delete(jenkins: Controller, change: Change) -> None:
    _remove(change, jenkins.delete, jenkins.config)


def _delete_folder(jenkins: Controller, change: Change) -> None:
    """Remove the view beside the folder first: without the folder, no later run would find it."""
    _insist_on_empty(jenkins, change)
    if mark_of(jenkins.view(change.item) or ""):
        raise JenkinsError(_("folder {item} stays until the view beside it is removed", item=change.item))
    _delete(jenkins, change)


def _delete_view(jenkins: Controller, change: Change) -> None:
    """Remove the view beside a folder that will be removed."""
    _insist_on_empty(jenkins, change)
    _remove(change, jenkins.delete_view, jenkins.view)


def _insist_on_empty(jenkins: Controller, change: Change) -> None:
    """Raise JenkinsError if the folder is not empty: it may hold a job that could not move or that somebody just created."""
    inside = jenkins.children(change.item)
    if inside:
        raise JenkinsError(_("folder {item} is not empty: {name} is in it", item=change.item, name=inside[0]))


def _move(jenkins: Controller, change: Change) -> None:
    """Move and rename a job; if it needs both, in the order in which no other job is in the way."""
    _insist(change, jenkins.config(change.source))
    above, short = _split(change.item)
    old_above, old_short = _split(change.source)
    way = [_join(above, old_short), change.item]
    if above != old_above and short != old_short and jenkins.config(way[0]) is not None:
        other = _join(old_above, short)
        way = way if jenkins.config(other) is not None else [other, change.item]
    place = change.source
    for target in way:
        if target != place:
            _relocate(jenkins, change, place, target)
            place = target


def _relocate(jenkins: Controller, change: Change, place: str, target: str) -> None:
    """Move or rename once. The state afterwards decides, because a request may succeed although its response is lost."""
    folder, short = _split(target)
    renamed = folder == _split(place)[0]
    refusal = None
    try:
        jenkins.rename(place, short) if renamed else jenkins.move(place, folder)
    except RefusedError as error:
        refusal = error
    arrived = jenkins.config(target)
    if arrived is not None and mark_of(arrived) == change.mark and jenkins.config(place) is None:
        return
    if refusal is not None and refusal.status not in (400, 500):
        raise refusal
    text = (
        _("Jenkins did not rename {place} to {target}: the name is taken there", place=place, target=target)
        if renamed
        else _(
            "Jenkins did not move {place} to {target}: the name is taken there, or the account may not create there",
            place=place,
            target=target,
        )
    )
    raise JenkinsError(text) from refusal


def _insist(change: Change, config: str | None) -> None:
    """Raise JenkinsError unless the item still has the mark from when the plan was made."""
    item = change.source or change.item
    if config is None:
        raise JenkinsError(_("{item} is gone: somebody moved or removed it meanwhile", item=item))
    if mark_of(config) != change.mark:
        raise JenkinsError(_("{item} was left alone: somebody changed its seed mark meanwhile", item=item))


def _split(name: str) -> tuple[str, str]:
    above, _slash, short = name.rpartition("/")
    return above, short


def _join(above: str, short: str) -> str:
    return f"{above}/{short}".lstrip("/")


_ACTIONS: dict[str, Callable[[Controller, Change], None]] = {
    "create-folder": _create_folder,
    "move": _move,
    "create": _create,
    "update": _update,
    "replace": _replace,
    "disable": _disable,
    "create-view": _create_view,
    "update-view": _update_view,
    "delete": _delete,
    "delete-view": _delete_view,
    "delete-folder": _delete_folder,
}
