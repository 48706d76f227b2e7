"""The standard flow: which stages a project goes through, in a Jenkinsfile as by hand. Settings in, stages out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from container_pipeline.i18n import _
from container_pipeline.settings import Settings


@dataclass(frozen=True)
class Stage:
    """One stage: a command of the agent with its options, or a question to a person."""

    name: str
    command: str = ""
    arguments: tuple[str, ...] = ()
    environment: str = ""
    question: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "arguments": list(self.arguments)}


@dataclass(frozen=True)
class Wishes:
    """What the Jenkinsfile says of the flow; None where it says nothing."""

    promote: bool | None = None
    deploy: bool | None = None
    approve: str | bool | None = None


def stages(
    settings: Settings, environments: Sequence[tuple[str, Settings]], wishes: Wishes
) -> tuple[list[Stage], list[str]]:
    """Return the stages in their order, and a sentence for each that is absent.

    ``environments`` are those to deploy to, one after the other; empty for the one unnamed. Promotion, and the
    question before it, stand in front of the first that pulls from the production registry.
    """
    absent: list[str] = []
    deploys = _deploys(settings, environments, wishes, absent)
    production = _production(settings, wishes, absent)
    places = [place for place, (_stage, of) in enumerate(deploys) if of.pulls_from_production]
    at = places[0] if places else len(deploys)
    question, before = _question(settings, deploys, wishes, at if production or places else None, absent)
    flow = [stage for stage, _of in deploys]
    flow[at:at] = production
    flow[before:before] = question
    return [Stage("Build", "build"), Stage("Push", "push", ("--latest",)), *flow], absent


def _deploys(
    settings: Settings, environments: Sequence[tuple[str, Settings]], wishes: Wishes, absent: list[str]
) -> list[tuple[Stage, Settings]]:
    if wishes.deploy is False:
        absent.append(_("no stage Deploy: the Jenkinsfile says deploy: false"))
        return []
    if not environments:
        if not settings.servers and not wishes.deploy:
            absent.append(_("no stage Deploy: no servers are set"))
            return []
        settings.targets()
        return [(Stage("Deploy", "deploy"), settings)]
    for _name, each in environments:
        each.targets()
    return [
        (Stage(f"Deploy {name}", "deploy", ("--environment", name), environment=name), each)
        for name, each in environments
    ]


def _production(settings: Settings, wishes: Wishes, absent: list[str]) -> list[Stage]:
    if wishes.promote is False:
        absent.append(_("no stage Promote: the Jenkinsfile says promote: false"))
    elif settings.production is None:
        if wishes.promote:
            settings.access("production")
        absent.append(_("no stage Promote: no production registry is set (DOCKER_REGISTRY_PROD)"))
    else:
        return [Stage("Promote", "promote")]
    return []


def _question(
    settings: Settings,
    deploys: Sequence[tuple[Stage, Settings]],
    wishes: Wishes,
    at: int | None,
    absent: list[str],
) -> tuple[list[Stage], int]:
    """Return the question and the place it stands at. Without a production registry, the last deploy is production."""
    place = at if at is not None else max(len(deploys) - 1, 0)
    of = deploys[place][1] if place < len(deploys) else settings
    wish: str | bool = of.values.approve if wishes.approve is None else wishes.approve
    if not wish:
        absent.append(_("no stage Approve: nobody asked for it (approve: true)"))
        return [], place
    if at is None and not deploys:
        absent.append(_("no stage Approve: nothing reaches production"))
        return [], place
    own = "" if wish is True or wish == "true" else str(wish)
    text = own or _("Bring {code} to production?", code=settings.code)
    return [Stage("Approve", question=text)], place
