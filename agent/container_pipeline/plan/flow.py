"""The standard flow: which stages a build goes through, in a Jenkinsfile as by hand. Settings in, stages out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from container_pipeline.errors import SettingsError
from container_pipeline.i18n import _
from container_pipeline.plan import branches
from container_pipeline.settings import Settings

#: Credentials of the key that signs what is pushed. A build that is not pushed does not get them.
SIGNING = ("sign", "signPassword")


@dataclass(frozen=True)
class Stage:
    """One stage: a command of the agent with its options and the Jenkins credentials that it needs, or a question to a person.

    The command of a question is one whose result the message about it shows.
    """

    name: str
    command: str = ""
    arguments: tuple[str, ...] = ()
    environment: str = ""
    question: str = ""
    #: Who may answer the question, separated by commas, and for how many seconds it stands; "" and 0 for anybody, and for ever.
    by: str = ""
    within: int = 0
    credentials: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "arguments": list(self.arguments), "credentials": list(self.credentials)}


@dataclass(frozen=True)
class Wishes:
    """The flow options of the Jenkinsfile; None for an option that is not set."""

    promote: bool | None = None
    deploy: bool | None = None
    approve: Any = None
    #: The reason to deploy in spite of a hold or a freeze.
    override: str = ""
    #: Skip the release command of each deploy.
    no_release: bool = False
    #: Environments whose .env is a secret file of Jenkins; None: of all.
    secret_env: tuple[str, ...] | None = ()


def stages(
    settings: Settings, environments: Sequence[tuple[str, Settings]], wishes: Wishes
) -> tuple[list[Stage], list[str]]:
    """Return the stages in their order, and a sentence for each that is absent.

    ``environments`` are those to deploy to, one after the other; empty for the one unnamed. Promotion, and the
    question before it, stand in front of the first that pulls from the production registry.

    In a multibranch job, a branch that `branches` of the project includes has them all. One that only environments
    include is pushed and deployed to those; every other branch, and a pull request, is only built.
    """
    ref, absent = settings.ref, list[str]()
    released = branches.includes(settings.values.branches, ref)
    deploys = _deploys(settings, environments, wishes, absent)
    wanted = [branches.includes(of.branches, ref) for _stage, of in deploys]
    build = Stage("Build", "build", credentials=() if ref.fork else ("registry",))
    if not released and not any(wanted):
        return [build], [branches.why_only_built(ref)]
    for (_stage, of), chosen in zip(deploys, wanted):
        if not chosen:
            absent.append(branches.why_not_deployed(ref, of.environment))
        elif of.pulls_from_production and not released:
            raise _never_promoted(of.environment)
        else:
            of.targets()
    production = _production(settings, wishes, absent) if released else []
    if not released:
        absent.append(branches.why_not_released(ref))
    places = [place for place, (_stage, of) in enumerate(deploys) if of.pulls_from_production]
    at = places[0] if places else len(deploys)
    question, before = _question(settings, deploys, wishes, at if production or places else None, absent)
    if question and not production and not any(wanted[before:]):
        absent.append(_nothing_for_production())
        question = []
    flow = [stage for (stage, _of), chosen in zip(deploys, wanted) if chosen]
    at, before = sum(wanted[:at]), sum(wanted[:before])
    flow[at:at] = production
    flow[before:before] = question
    latest = ("--latest",) if released and settings.values.latest else ()
    # What a push cannot sign with is refused before the build.
    build = replace(build, credentials=("registry", *SIGNING))
    return [build, Stage("Push", "push", latest, credentials=build.credentials), *flow], absent


def _never_promoted(environment: str) -> SettingsError:
    return SettingsError(
        _(
            "environments.{environment}.branches includes a branch that is not promoted, but its servers pull from production",
            environment=environment,
        ),
        _("add the branch to the project's `branches`, too, or set `registry: development` for the environment"),
    )


def _deploys(
    settings: Settings, environments: Sequence[tuple[str, Settings]], wishes: Wishes, absent: list[str]
) -> list[tuple[Stage, Settings]]:
    if wishes.deploy is False:
        absent.append(_("Deploy: skipped; the Jenkinsfile sets `deploy: false`"))
        return []
    if not environments:
        if not settings.servers and not wishes.deploy:
            absent.append(_("Deploy: skipped; no servers are set"))
            return []
        return [(_deploy(settings, "", wishes), settings)]
    return [(_deploy(each, name, wishes), each) for name, each in environments]


def _deploy(settings: Settings, environment: str, wishes: Wishes) -> Stage:
    login = "production" if settings.pulls_from_production else "registry"
    credentials = (login, f"{login}Pull", "ssh", "knownHosts", "env")
    more = ("--keep-newer", *(("--override", wishes.override) if wishes.override else ()))
    more += ("--no-release",) if wishes.no_release else ()
    if not environment:
        return Stage("Deploy", "deploy", more, credentials=credentials)
    arguments = ("--environment", environment, *more)
    return Stage(f"Deploy {environment}", "deploy", arguments, environment, credentials=credentials)


def _production(settings: Settings, wishes: Wishes, absent: list[str]) -> list[Stage]:
    if wishes.promote is False:
        absent.append(_("Promote: skipped; the Jenkinsfile sets `promote: false`"))
    elif settings.environment and not settings.pulls_from_production:
        absent.append(
            _("Promote: skipped; {environment} pulls from the development registry", environment=settings.environment)
        )
    elif settings.production is None:
        if wishes.promote:
            settings.access("production")
        absent.append(_("Promote: skipped; no production registry is set (DOCKER_REGISTRY_PROD)"))
    else:
        return [Stage("Promote", "promote", credentials=("registry", "production"))]
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
    wish: Any = of.values.approve if wishes.approve is None else wishes.approve
    if not wish:
        if wishes.approve is None:
            absent.append(_("Approve: skipped; set `approve: true` to be asked"))
        return [], place
    if at is None and not deploys:
        absent.append(_nothing_for_production())
        return [], place
    rules = wish if isinstance(wish, Mapping) else {"question": "" if wish is True or wish == "true" else str(wish)}
    text = rules.get("question") or _("Deploy {code} to production?", code=settings.code)
    people, within = ",".join(rules.get("by", ())), rules.get("within", 0)
    question = Stage("Approve", question=text, by=people, within=within)
    if place < len(deploys):
        asked = deploys[place][0]
        environment = ("--environment", asked.environment) if asked.environment else ()
        question = replace(
            question,
            command="status",
            arguments=environment,
            environment=asked.environment,
            credentials=tuple(name for name in asked.credentials if name in ("ssh", "knownHosts")),
        )
    return [question], place


def _nothing_for_production() -> str:
    return _("Approve: skipped; nothing reaches production")
