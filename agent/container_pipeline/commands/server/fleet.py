"""Show every code on every server: what runs, since when and by whom, what differs and what is wrong; problems first."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Callable

from container_pipeline.console import human_size
from container_pipeline.errors import ChecksFailed, ServerError, SettingsError, UsageError
from container_pipeline.execute import Run
from container_pipeline.i18n import _
from container_pipeline.model import Target, local_time
from container_pipeline.plan.fleet import DAYS, MOST_PROJECTS, Deployment, Inventory, ago, ordered, read, remarks
from container_pipeline.remote import reasons
from container_pipeline.remote.fleet import Answer, Fleet, ServerTask, finish
from container_pipeline.result import Deployments, Files
from container_pipeline.values import target_of

#: Servers at a time, unless `at_once` is set: nothing is changed there, and nothing is long.
_AT_ONCE = 40


@dataclass
class _Place:
    """One connection: the folders to look into there, their environments, and whether Docker needs sudo there."""

    target: Target
    roots: dict[str, str] = field(default_factory=dict)
    sudo: bool = False


def run(
    run: Run, patterns: Sequence[str], *, check: bool, disk: bool, page: Path | None = None, accept_new: bool = False
) -> None:
    """Show one line per code and server, and write the ``page``. Raises the worst error of a server, then with ``check`` ChecksFailed for a problem."""
    if page and not os.access(page.parent, os.W_OK):
        raise UsageError(_("{path} cannot be written: its folder is missing or read-only", path=page))
    places = _places(run, patterns)
    fleet = Fleet(run.settings, run.console, accept_new=accept_new)
    fleet.several = len(places) > 1
    task = ServerTask(
        ("fleet",),
        {
            "only": run.settings.values.code if run.settings.sources["code"] == "option" else "",
            "oldest": ago(timedelta(days=DAYS)),
            "disk": disk,
            # A run takes less than two hours, and the server's clock may be ahead.
            "hours": " ".join(ago(timedelta(hours=number)).partition(":")[0] for number in (2, 1, 0, -1)),
        },
        each=lambda target: _values(places[target]),
    )
    at_once = 0 if "at_once" in run.settings.origins() else _AT_ONCE
    with run.console.task(_("asking servers"), len(places), _("servers")) as progress:
        answers = fleet.ask(list(places), task, at_once, lambda: progress.advance(1))
    inventories = {answer.target: _inventory(places[answer.target], answer, disk=disk) for answer in answers}
    deployments = ordered(one for inventory in inventories.values() for one in inventory.deployments)
    run.result.add(Deployments(deployments=[one.as_dict() for one in deployments]))
    _show(run, deployments, inventories, disk=disk)
    if page:
        _write(run, page, deployments, answers)
    finish(run.result, run.console, answers, lambda answer: _details(inventories[answer.target]))
    wrong = [one for one in deployments if one.problems]
    if check and wrong:
        raise ChecksFailed(
            _("{count} of {all} deployments have a problem", count=len(wrong), all=len(deployments)),
            _("`container-pipeline status` and `logs` show more about one code"),
        )


def _write(run: Run, path: Path, deployments: Sequence[Deployment], answers: Sequence[Answer]) -> None:
    from container_pipeline.plan.fleet_page import Silent, html
    from container_pipeline.project import files

    silent = [Silent(answer.target.name, answer.error.message, answer.error.hint) for answer in answers if answer.error]
    hide = run.console.redact
    text = html(_hidden(deployments, hide), _hidden(silent, hide), datetime.now().astimezone(), run.settings.build_url)
    files.replace(path, text)
    run.result.add(Files(files=[str(path)]))


def _hidden(value: Any, hide: Callable[[str], str]) -> Any:
    """Return a value with every text in it redacted, before HTML escapes could hide a secret."""
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, (list, tuple)):
        return tuple(_hidden(item, hide) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{one.name: _hidden(getattr(value, one.name), hide) for one in fields(value)})
    return value


def _places(run: Run, patterns: Sequence[str]) -> dict[Target, _Place]:
    """Return the connections to make; raises SettingsError if no server is known."""
    settings = run.settings
    root, sudo = settings.values.remote_root, settings.values.sudo
    places: dict[tuple[str, str, int], _Place] = {}

    def add(target: Target, root: str, environment: str, sudo: bool) -> None:
        place = places.setdefault((target.user, target.host, target.port), _Place(target))
        place.roots.setdefault(target.remote_root or root, environment)
        place.sudo = place.sudo or sudo
        if target.label and not place.target.label:
            place.target = replace(place.target, label=target.label)

    if patterns:
        from container_pipeline.execute import jobs_files

        jobs, _names = jobs_files.load([str(settings.project / name) for name in patterns])
        for job in jobs:
            keys = job.pipeline or {}
            for item in keys.get("servers") or ():
                add(target_of(item), keys.get("remote_root") or root, "", keys.get("sudo") or sudo)
        if not places and settings.sources["servers"] != "option":
            raise SettingsError(
                _("no job in {files} says which servers it deploys to", files=", ".join(patterns)),
                _("set `servers:` in its `pipeline:`, or pass --server [USER@]HOST[:PORT]"),
            )
    told = settings.sources["servers"] == "option"
    if patterns:
        targets = settings.servers if told else ()
    elif told or settings.environment or settings.sources["servers"] == "environment":
        targets = settings.targets()
    else:
        targets = settings.all_targets() or settings.targets()
    named = {
        (target.name, target.remote_root): name
        for name, values in settings.values.environments.items()
        for target in map(target_of, values.get("servers", ()))
    }
    for target in targets:
        environment = settings.environment or named.get((target.name, target.remote_root), "")
        add(target, root, environment, sudo)
    return {place.target: place for place in _apart(places.values())}


def _apart(places: Any) -> list[_Place]:
    """Give logins of one server names that differ."""
    found = list(places)
    names = [place.target.name for place in found]
    for place in found:
        if names.count(place.target.name) > 1 and place.target.user:
            place.target = replace(place.target, label=f"{place.target.user}@{place.target.name}")
    return found


def _values(place: _Place) -> dict[str, object]:
    # There is no folder of one code; nothing is ever written below this one.
    return {"code": "fleet", "folder": "/nonexistent/fleet", "roots": "\n".join(place.roots), "sudo": place.sudo}


def _inventory(place: _Place, answer: Answer, *, disk: bool) -> Inventory:
    found = read(answer.target.name, answer.lines, answer.facts.get("now", ""), asked=answer.status == "ok", disk=disk)
    if found.unreadable and not answer.error:
        answer.error = reasons.explain(answer.target, "refused", f"unreadable {found.unreadable[0]}", {}, [], [])
    if found.cut:
        answer.error = ServerError(
            _("it reports more than {number} projects, of which the others are not shown", number=MOST_PROJECTS),
            _("pass --code CODE to see one of them"),
        ).at(answer.target.name)
    found.deployments = [
        replace(one, environment=one.environment or place.roots.get(one.root, "")) for one in found.deployments
    ]
    return found


def _details(inventory: Inventory) -> dict[str, Any]:
    return {"codes": len(inventory.deployments), "others": inventory.others, "absent": inventory.absent}


def _show(run: Run, deployments: Sequence[Deployment], inventories: dict[Target, Inventory], *, disk: bool) -> None:
    several = any(one.environment for one in deployments)
    heads = [_("CODE"), *([_("ENVIRONMENT")] if several else []), _("SERVER"), _("VERSION"), _("STATE"), _("SINCE")]
    heads += [_("BY"), _("KEPT"), *([_("IMAGES")] if disk else []), _("REMARKS")]
    rows = [_row(one, environment=several, disk=disk) for one in deployments]
    if rows:
        run.console.table(heads, rows)
    for target, inventory in inventories.items():
        for root in inventory.absent:
            run.console.line(_("{server}: there is no {path}, so nothing is deployed", server=target.name, path=root))
        if inventory.others:
            others = ", ".join(inventory.others)
            run.console.detail(_("{server}: not a project: {paths}", server=target.name, paths=others))


def _row(one: Deployment, *, environment: bool, disk: bool) -> list[str]:
    by = one.build or one.by or "-"
    if one.approved_by:
        by = _("{by}, approved by {who}", by=by, who=one.approved_by)
    row = [one.code, *([one.environment or "-"] if environment else []), one.server, one.version or "-", state(one)]
    row += [local_time(one.since) if one.since else "-", by, str(len(one.releases))]
    if disk:
        row.append("-" if one.disk is None else human_size(one.disk))
    return [*row, ", ".join(remarks(one)) or "-"]


def state(one: Deployment) -> str:
    """Return the state of a deployment's containers in one or two words."""
    if one.status == "unknown":
        return _("unknown")
    states = sorted({f"{each.state} ({each.health})" if each.health != "-" else each.state for each in one.containers})
    shown = ", ".join(states) or _("down")
    return shown + (_(", restarts: {number}", number=one.restarts) if one.restarts else "")
