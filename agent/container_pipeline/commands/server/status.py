"""Show what runs on each server, since when and by whom, and how it differs from the deployed release."""

from __future__ import annotations

from typing import Any

from container_pipeline.execute import Run
from container_pipeline.i18n import _
from container_pipeline.model import local_time
from container_pipeline.plan.deploy import Holding, difference, holder, read_record
from container_pipeline.remote.fleet import Answer, Fleet, ServerTask, finish, parts
from container_pipeline.remote.reasons import both_failed
from container_pipeline.result import Origins


def run(run: Run, *, accept_new: bool = False) -> None:
    """Show one line per server; raises the worst error if a server does not respond."""
    answers = Fleet(run.settings, run.console, accept_new=accept_new).ask(
        run.settings.targets(), ServerTask(parts(run.settings, "found", "status"), {"action": "status"})
    )
    run.console.table(
        (_("SERVER"), _("VERSION"), _("STATE"), _("SINCE"), _("BY"), _("DIFFERS")), [_row(answer) for answer in answers]
    )
    if rows := [row for answer in answers for row in _image_rows(answer)]:
        run.console.table((_("SERVER"), _("SERVICE"), _("IMAGE"), _("DIGEST")), rows)
    for answer in answers:
        if broken := _broken(answer):
            run.console.error(f"{answer.target.name} — {broken}")
    run.result.add(Origins(settings=run.settings.origins()))
    finish(run.result, run.console, answers, details)


def release(answer: Answer) -> dict[str, Any]:
    """Return the record of the current release, or an empty one."""
    found = answer.all("release")
    return read_record(found[0]) if found else {}


def differences(answer: Answer) -> list[str]:
    """Return the differences from the deployed release, as words of the JSON result; none while a run changes it."""
    if answer.facts.get("lock"):
        return []
    unreadable = answer.all("release") and not release(answer)
    return (["record"] if unreadable else []) + answer.all("differs")


def containers(answer: Answer) -> list[dict[str, str]]:
    """Return the containers; ``image`` is as the Compose file names it, and ``digest`` is "" where it is not known."""
    names = ("service", "state", "health", "started", "restarts", "exit_code", "image", "image_id")
    lines = [line.split("|") for line in answer.all("container")]
    found = [{**dict.fromkeys(names, "-"), **dict(zip(names, line))} for line in lines]
    deployed = release(answer)
    pins = {one["pin"]: one["image"] for one in deployed.get("companions", [])}
    own = {one["image_id"] for one in found if one["image"] == f"{deployed.get('image')}:{deployed.get('version')}"}
    for one in found:
        one["digest"] = one["image"].partition("@")[2]
        if one["image_id"] in own and "image" not in answer.all("differs"):
            one["digest"] = deployed.get("digest", "")
        one["image"] = pins.get(one["image"], one["image"].partition("@")[0])
    return found


def details(answer: Answer) -> dict[str, Any]:
    deployed = release(answer)
    return {
        "digest": deployed.get("digest", ""),
        "when": deployed.get("when", ""),
        "since": answer.facts.get("since", ""),
        "by": deployed.get("by", ""),
        "build": deployed.get("build", ""),
        "commit": deployed.get("commit", ""),
        "containers": containers(answer),
        "differs": differences(answer),
        "lock": answer.facts.get("lock", ""),
        "hold": vars(held) if (held := Holding.parse(answer.facts.get("hold", ""))) else {},
    }


def _row(answer: Answer) -> tuple[str, ...]:
    name = answer.target.name
    if answer.error:
        return (name, "-", _("not deployed") if answer.reason == "nothing" else _("unknown"), "-", "-", "-")
    deployed = release(answer)
    return (
        name,
        answer.facts.get("version") or "-",
        _state(answer),
        local_time(answer.facts.get("since") or deployed.get("when", "-")),
        deployed.get("build") or deployed.get("by", "-"),
        ", ".join([*_busy(answer), *_held(answer), *(difference(word) for word in differences(answer))]) or "-",
    )


def _image_rows(answer: Answer) -> list[tuple[str, ...]]:
    """Return what each service runs; nothing for a single service, whose image the version names."""
    found = containers(answer)
    rows = [(answer.target.name, one["service"], one["image"], one["digest"][7:19] or "-") for one in found]
    return list(dict.fromkeys(rows)) if len({row[1] for row in rows}) > 1 else []


def _broken(answer: Answer) -> str:
    """Return the reasons and the commands to paste after a failed rollback, or "" if there was none."""
    first, _bar, second = answer.facts.get("broken", "").partition(" ")[2].partition("|")
    if not first or answer.facts.get("lock"):
        return ""
    return " — ".join(both_failed(answer.target, answer.facts.get("version", ""), first, second))


def _busy(answer: Answer) -> list[str]:
    lock = answer.facts.get("lock", "")
    return [_("a run is changing it: {holder}", holder=holder(lock))] if lock else []


def _held(answer: Answer) -> list[str]:
    held = Holding.parse(answer.facts.get("hold", ""))
    return [held.told()] if held else []


def _state(answer: Answer) -> str:
    found = containers(answer)
    states = [
        (f"{one['service']} " if len(found) > 1 else "")
        + one["state"]
        + (f" ({one['health']})" if one["health"] != "-" else "")
        + (_(", restarts: {number}", number=one["restarts"]) if one["restarts"] not in ("0", "-", "") else "")
        for one in found
    ]
    return ", ".join(states) or _("down")
