"""What a Jenkinsfile may say, and which stages follow from it. Pure: settings in, stages out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from container_pipeline.errors import SettingsError
from container_pipeline.i18n import _
from container_pipeline.model import Code
from container_pipeline.settings import KEYS, Key, Settings

#: Keys of the steps that are no settings of the agent. ``kind`` as in settings, and "text or boolean", "text or map".
JENKINS_KEYS: tuple[Key, ...] = (
    Key("promote", "boolean", None, "promote; by default where a production registry is set"),
    Key("deploy", "boolean", None, "deploy; by default where servers are set"),
    Key("approve", "text or boolean", None, "ask before anything reaches production: true, or the question"),
    Key("environments", "list", None, "which environments, in which order"),
    Key("environment", "text", None, "the one environment of a single step"),
    Key("version", "text", None, "the version of a single step"),
    Key("notify", "text or map", None, "id of a secret text: a webhook's address; or [credentials: id, format: …]"),
    Key("node", "text", None, "label of the node to allocate where none is"),
    Key("checkout", "boolean", None, "check out where the node is allocated here"),
    Key("credentials", "map", None, "ids of Jenkins credentials"),
)
#: What containerSeed takes: it has no project of its own.
SEED_KEYS: tuple[Key, ...] = (
    Key("jobs", "list", None, "jobs files, below the folder it runs in; jobs.yml by default"),
    Key("prune", "boolean", None, "remove jobs that no file names any more, instead of disabling them"),
    Key("adopt", "boolean", None, "take over jobs of the same name that seed did not make"),
    Key("dryRun", "boolean", None, "only show what would change"),
    *(key for key in JENKINS_KEYS if key.name in ("node", "checkout", "credentials")),
)
CREDENTIALS = ("registry", "production", "ssh", "env", "knownHosts")
NOTIFY = ("credentials", "format")


def library_keys() -> dict[str, dict[str, Any]]:
    """Return what the library checks a Jenkinsfile's map against: ``resources/container-pipeline/keys.json``.

    "" stands for every step but those that are named.
    """
    own = {key.name for key in JENKINS_KEYS}
    keys = {key.camel: _described(key, key.variable) for key in KEYS if key.name not in own}
    keys.update({key.name: _described(key) for key in JENKINS_KEYS})
    keys["code"].update(required=True, pattern=Code.PATTERN)
    keys["credentials"]["keys"] = list(CREDENTIALS)
    keys["notify"]["keys"] = list(NOTIFY)
    seed = {key.name: _described(key) for key in SEED_KEYS}
    seed["credentials"]["keys"] = ["jenkins"]
    return {"": keys, "containerSeed": seed}


def _described(key: Key, variable: str = "") -> dict[str, Any]:
    described: dict[str, Any] = {"kind": key.kind}
    if variable:
        described["variable"] = variable
    if key.choices:
        described["choices"] = list(key.choices)
    return described


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
    wish: str | bool = of.values["approve"] if wishes.approve is None else wishes.approve
    if not wish:
        absent.append(_("no stage Approve: nobody asked for it (approve: true)"))
        return [], place
    if at is None and not deploys:
        absent.append(_("no stage Approve: nothing reaches production"))
        return [], place
    own = "" if wish is True or wish == "true" else str(wish)
    text = own or _("Bring {code} to production?", code=settings.code)
    return [Stage("Approve", question=text)], place


def wishes_of(data: Mapping[str, Any]) -> tuple[Wishes, list[str]]:
    """Read what the library hands over: the flow's wishes, and the names of the environments."""
    names = data.get("environments") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SettingsError(_("environments must be a list of names, such as ['test', 'prod']"))
    return Wishes(data.get("promote"), data.get("deploy"), data.get("approve")), names
