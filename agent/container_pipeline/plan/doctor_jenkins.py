"""What a Jenkins lacks for the jobs of a jobs file."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from container_pipeline.i18n import _
from container_pipeline.plan.seed.jobplugins import missing_plugins
from container_pipeline.plan.seed.jobs import Job

#: Programs that a node needs: for the agent itself, building, deploying, and fetching in a freestyle job.
TOOLS = ("python3", "docker", "ssh", "git")


@dataclass(frozen=True)
class JenkinsCheck:
    """One check. ``ok`` is None if this account may not see the facts."""

    name: str
    ok: bool | None
    message: str
    hint: str = ""


@dataclass(frozen=True)
class JenkinsFacts:
    """Facts from Jenkins; None if this account may not see them. Credentials are by folder; "" is global."""

    version: str = ""
    plugins: Collection[str] | None = None
    libraries: Collection[str] | None = None
    credentials: Mapping[str, Collection[str] | None] = field(default_factory=dict)
    labels: Collection[str] = ()
    tools: Mapping[str, Collection[str] | None] = field(default_factory=dict)


def judge(jobs: Sequence[Job], facts: JenkinsFacts) -> list[JenkinsCheck]:
    """Return a check for each thing that the jobs need."""
    return [
        _plugins(jobs, facts),
        *_libraries(jobs, facts),
        *_credentials(jobs, facts),
        *_labels(jobs, facts),
        *_tools(facts),
    ]


def _plugins(jobs: Sequence[Job], facts: JenkinsFacts) -> JenkinsCheck:
    if facts.plugins is None:
        return JenkinsCheck(_("plugins"), None, _("this account may not list plugins"), _("give it Overall/SystemRead"))
    missing = missing_plugins(jobs, facts.plugins)
    if missing:
        names = ", ".join(f"{plugin} ({job})" for plugin, job in sorted(missing.items()))
        return JenkinsCheck(_("plugins"), False, _("missing: {names}", names=names), _("Manage Jenkins → Plugins"))
    return JenkinsCheck(_("plugins"), True, _("all plugins that the jobs need are installed"))


def _libraries(jobs: Sequence[Job], facts: JenkinsFacts) -> Iterator[JenkinsCheck]:
    wanted = {job.library.partition("@")[0] for job in jobs if job.pipeline is not None and job.kind == "pipeline"}
    for name in sorted(wanted - {""}):
        title = _("library {name}", name=name)
        if facts.libraries is None:
            yield JenkinsCheck(title, None, _("this account may not see the libraries"))
        elif name in facts.libraries:
            yield JenkinsCheck(title, True, _("it is a global library"))
        else:
            hint = _("Manage Jenkins → System → Global Trusted Pipeline Libraries, or the folder's own")
            yield JenkinsCheck(title, False, _("no global library has this name"), hint)


def _credentials(jobs: Sequence[Job], facts: JenkinsFacts) -> Iterator[JenkinsCheck]:
    """Return the ids that a job sees: those of its folder, of the folders above, and the global ones."""
    needed: set[str] = set()
    lacking: dict[str, Job] = {}
    unknown: dict[str, Job] = {}
    for job in jobs:
        stores = [facts.credentials.get(folder) for folder in ("", *job.folders)]
        for name in credential_ids(job):
            needed.add(name)
            if not any(name in (store or ()) for store in stores):
                (unknown if None in stores else lacking).setdefault(name, job)
    for name in sorted(needed):
        title = _("credentials {name}", name=name)
        if name in lacking:
            where = lacking[name].full_name
            yield JenkinsCheck(
                title, False, _("{job} cannot see this id", job=where), _("Manage Jenkins → Credentials")
            )
        elif name in unknown:
            yield JenkinsCheck(
                title, None, _("this account may not see all credentials"), _("give it Credentials/View")
            )
        else:
            yield JenkinsCheck(title, True, _("it exists"))


def credential_ids(job: Job) -> set[str]:
    """Return the ids that a job needs."""
    keys = job.pipeline or {}
    notify = keys.get("notify")
    named = [
        job.credentials,
        (job.triggers or {}).get("webhook"),
        *([notify.get("credentials"), notify.get("secret")] if isinstance(notify, dict) else [notify]),
        *keys.get("credentials", {}).values(),
    ]
    return {name for name in named if name}


def _labels(jobs: Sequence[Job], facts: JenkinsFacts) -> Iterator[JenkinsCheck]:
    for label in sorted({str(job.pipeline["node"]) for job in jobs if job.pipeline and job.pipeline.get("node")}):
        title = _("label {name}", name=label)
        if label in facts.labels:
            yield JenkinsCheck(title, True, _("a node has it"))
        else:
            yield JenkinsCheck(title, False, _("no node has it"), _("Manage Jenkins → Nodes"))


def _tools(facts: JenkinsFacts) -> Iterator[JenkinsCheck]:
    for node, tools in sorted(facts.tools.items()):
        title = _("node {name}", name=node)
        if tools is None:
            yield JenkinsCheck(title, None, _("it is offline, or this account may not see it"))
            continue
        missing = [tool for tool in TOOLS if tool not in tools]
        if missing:
            yield JenkinsCheck(title, False, _("missing: {names}", names=", ".join(missing)), _("install them there"))
        else:
            yield JenkinsCheck(title, True, _("it has {names}", names=", ".join(TOOLS)))
