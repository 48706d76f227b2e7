"""Which builds of a multibranch job publish: what Jenkins checked out, judged by the patterns of ``branches``."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from container_pipeline.i18n import _
from container_pipeline.keys import BY_NAME, PROJECT_FILE
from container_pipeline.model import Ref
from container_pipeline.settings import Settings

#: Where ``branches`` are these, the one that Jenkins names as the primary publishes, too.
DEFAULT: tuple[str, ...] = BY_NAME["branches"].default


def includes(patterns: Sequence[str], ref: Ref) -> bool:
    """Return whether a build of ``ref`` publishes; a pull request never does, and a build outside of a multibranch job always."""
    if not ref.name or ref.change:
        return not ref.name
    if patterns == DEFAULT:
        return not ref.tag and (ref.primary or ref.name in DEFAULT)
    return any(re.fullmatch(_expression(pattern), ref.tag or ref.name, re.DOTALL) for pattern in patterns)


def publishes(settings: Settings) -> bool:
    """Return whether this build publishes: for the project, or for one of its environments."""
    environments = settings.values.environments.values()
    patterns = (settings.values.branches, *(own for values in environments if (own := values.get("branches"))))
    return any(includes(each, settings.ref) for each in patterns)


def _expression(pattern: str) -> str:
    parts = {"**": ".*", "*": "[^/]*"}
    return "".join(parts.get(part) or re.escape(part) for part in re.split(r"(\*\*?)", pattern))


def why_only_built(ref: Ref) -> str:
    """Return why a build of ``ref`` ends after its first stage, and which key changes that."""
    if ref.fork:
        return _("build only: a pull request from a fork publishes nothing, and gets no credentials")
    if ref.change:
        return _("build only: a pull request publishes nothing")
    return _(
        "build only: `branches` does not include {ref}; add it in {file} to publish from it",
        ref=_name(ref),
        file=PROJECT_FILE,
    )


def why_not_released(ref: Ref) -> str:
    """Return why ``latest`` stays and nothing is promoted in a build that only some environments want."""
    return _("Promote: skipped, and `latest` stays; the project's `branches` does not include {ref}", ref=_name(ref))


def why_not_deployed(ref: Ref, environment: str) -> str:
    return _(
        "Deploy {environment}: skipped; `branches` of that environment does not include {ref}",
        environment=environment,
        ref=_name(ref),
    )


def _name(ref: Ref) -> str:
    return _("tag {name}", name=ref.tag) if ref.tag else _("branch {name}", name=ref.name)


def unreachable(settings: Settings, listed: Collection[str] | None = None) -> list[str]:
    """Return a sentence for each environment whose `branches` are of no use; ``listed`` are those of the Jenkinsfile, where it is known."""
    problems = []
    for name, values in settings.values.environments.items():
        own, promoted = values.get("branches", ()), settings.values.branches
        production = values.get("registry") or settings.values.registry or ("production" if settings.production else "")
        if own and listed is not None and name not in listed:
            problems.append(
                _(
                    "nothing is deployed to environment {name}: it has `branches`, but the Jenkinsfile's `environments` does not list it",
                    name=name,
                )
            )
        elif (
            own
            and promoted != DEFAULT
            and production == "production"
            and not any(_meet(a, b) for a in own for b in promoted)
        ):
            problems.append(
                _(
                    "nothing is deployed to environment {name}: it pulls from the production registry, and no branch of "
                    "environments.{name}.branches is among the project's `branches`, which promote",
                    name=name,
                )
            )
    return problems


def _meet(one: str, other: str) -> bool:
    """Return whether a branch may match both patterns."""
    both = "*" in one and "*" in other
    return both or includes([one], Ref(other)) or includes([other], Ref(one))


def told(patterns: Sequence[str]) -> str:
    """Return ``patterns`` for a person, also where nobody set them."""
    return _("the primary branch, main and master") if patterns == DEFAULT else ", ".join(patterns)
