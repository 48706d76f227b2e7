"""Carries out the changes of a seed plan so that nothing is touched but what the plan is about.

Jenkins has no conditional writes. So the mark of an item is read right before each change of it; and where Jenkins
answers with a redirect, which can mean both done and refused, what is there afterwards decides.
"""

from __future__ import annotations

from typing import Callable, Optional

from container_pipeline.clients.jenkins import Controller
from container_pipeline.clients.jenkins_wire import RefusedError
from container_pipeline.errors import JenkinsError
from container_pipeline.i18n import _
from container_pipeline.plan.seed import Change, configxml, mark_of
from container_pipeline.plan.seed.jobxml import FOLDER

#: How the configuration of an item is read, None where there is none, and how it is written: by the item's full name.
_Read = Callable[[str], Optional[str]]
_Write = Callable[[str, str], object]


def perform(jenkins: Controller, change: Change) -> None:
    """Carry out one change; raises JenkinsError where Jenkins refuses it, or where its item is not what was planned on."""
    _ACTIONS[change.action](jenkins, change)


def _make(change: Change, make: _Write, read: _Read, ours: Callable[[str], bool]) -> None:
    """Make the item of ``change``. One that is there meanwhile serves as well where it is ``ours``: its answer may have been lost."""
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
    """Create a job. One with the same mark is from an earlier attempt."""
    _make(change, jenkins.create, jenkins.config, lambda has: mark_of(has) == mark_of(change.config))


def _create_folder(jenkins: Controller, change: Change) -> None:
    """Create a folder. Any that is there serves, whoever made it."""
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
    """Remove a job and create it anew: Jenkins changes everything about a job but its kind."""
    _delete(jenkins, change)
    _create(jenkins, change)


def _disable(jenkins: Controller, change: Change) -> None:
    _insist(change, jenkins.config(change.item))
    jenkins.disable(change.item)
    if "disabled: true" not in configxml.canonical(jenkins.config(change.item) or "<gone/>"):
        raise JenkinsError(_("Jenkins accepted the request, but did not disable {item}", item=change.item))


def _remove(change: Change, delete: Callable[[str], object], read: _Read) -> None:
    """Remove the item of ``change`` where it is there and still what was planned on."""
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
    """Remove a folder after the view beside it, which no later run would find without the folder."""
    _insist_on_empty(jenkins, change)
    if mark_of(jenkins.view(change.item) or ""):
        raise JenkinsError(_("folder {item} stays until the view beside it is removed", item=change.item))
    _delete(jenkins, change)


def _delete_view(jenkins: Controller, change: Change) -> None:
    """Remove the view beside a folder that is about to go."""
    _insist_on_empty(jenkins, change)
    _remove(change, jenkins.delete_view, jenkins.view)


def _insist_on_empty(jenkins: Controller, change: Change) -> None:
    """What is in a folder would go with it: a job that could not be moved, or that somebody just made."""
    inside = jenkins.children(change.item)
    if inside:
        raise JenkinsError(_("folder {item} is not empty: {name} is in it", item=change.item, name=inside[0]))


def _move(jenkins: Controller, change: Change) -> None:
    """Bring a job to another folder, another name, or both: then by the way on which no other job stands."""
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
    """Move or rename once. What is there afterwards decides: also an answer that was lost may have been done."""
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
    """Raise JenkinsError unless the item still bears the mark that the plan was made on."""
    item = change.source or change.item
    if config is None:
        raise JenkinsError(_("{item} is gone: somebody moved or removed it meanwhile", item=item))
    if mark_of(config) != change.mark:
        raise JenkinsError(_("{item} was left alone: somebody changed its ownership mark meanwhile", item=item))


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
