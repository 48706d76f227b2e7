"""The configuration of jobs, folders and views as Jenkins' XML.

Element names are Jenkins' own class names: those of core, and of the plugins workflow-job, workflow-multibranch, git,
cloudbees-folder and generic-webhook-trigger.
"""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree as ET

from container_pipeline.plan.seed.jobs import Job
from container_pipeline.plan.seed.jobtext import Marker, described, jenkinsfile, shell_step

MULTIBRANCH = "org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject"
FOLDER = "com.cloudbees.hudson.plugins.folder.Folder"
#: Kind of job → root element of its configuration.
ROOTS = {"pipeline": "flow-definition", "multibranch": MULTIBRANCH, "freestyle": "project"}
#: Units of a scan interval, in ms.
_UNITS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_PARAMETER = "hudson.model.{}ParameterDefinition"
_COLUMNS = ("Status", "Weather", "Job", "LastSuccess", "LastFailure", "LastDuration", "BuildButton")


def job_xml(job: Job) -> str:
    """Return the configuration of ``job``."""
    return _text(job_tree(job))


def job_tree(job: Job) -> ET.Element:
    """Return the configuration of ``job`` as it will be read back after writing."""
    root = _element(ROOTS[job.kind], _element("description", described(job)))
    {"pipeline": _pipeline, "multibranch": _multibranch, "freestyle": _freestyle}[job.kind](root, job)
    root.append(_element("disabled", job.disabled))
    return root


def folder_xml(set_name: str) -> str:
    """Return the configuration of a new folder; Jenkins adds views and health itself."""
    return _text(_element(FOLDER, _element("description", str(Marker(set_name)))))


def view_xml(set_name: str, folder: str) -> str:
    """Return a list view beside ``folder`` that shows all jobs below it."""
    root = _element(
        "hudson.model.ListView",
        _element("description", str(Marker(set_name))),
        _element("recurse", True),
        _element("includeRegex", view_regex(folder)),
        _element("columns", *(_element(f"hudson.views.{name}Column") for name in _COLUMNS)),
    )
    return _text(root)


def view_regex(folder: str) -> str:
    """Return a pattern for all jobs below ``folder``, relative to the place of its view."""
    return re.sub(r"([.^$*+?()\[\]{}|\\])", r"\\\1", folder.rpartition("/")[2]) + "/.*"


def _pipeline(root: ET.Element, job: Job) -> None:
    properties = _element("properties", *_parameters(job))
    discarder = _rotation(job, "strategy", {"class": "hudson.tasks.LogRotator"})
    if discarder is not None:
        properties.append(_element("jenkins.model.BuildDiscarderProperty", discarder))
    triggers = _triggers(job)
    if triggers:
        name = "org.jenkinsci.plugins.workflow.job.properties.PipelineTriggersJobProperty"
        properties.append(_element(name, _element("triggers", *triggers)))
    root.append(properties)
    plugin = "org.jenkinsci.plugins.workflow.cps."
    if job.pipeline is None:
        definition = _element("definition", _git(job), {"class": f"{plugin}CpsScmFlowDefinition"})
        definition.append(_element("scriptPath", job.jenkinsfile))
        definition.append(_element("lightweight", True))
    else:
        definition = _element("definition", {"class": f"{plugin}CpsFlowDefinition"})
        definition.append(_element("script", jenkinsfile(job)))
        definition.append(_element("sandbox", True))
    root.append(definition)


def _freestyle(root: ET.Element, job: Job) -> None:
    """Return a freestyle job that a Hudson of 2012 understands too, without later classes."""
    rotation = _rotation(job, "logRotator", {"class": "hudson.tasks.LogRotator"})
    if rotation is not None:
        root.append(rotation)
    root.append(_element("properties", *_parameters(job)))
    root.append(_git(job) if job.uses_git_plugin else _element("scm", {"class": "hudson.scm.NullSCM"}))
    label = (job.pipeline or {}).get("node", "")
    if label:
        root.append(_element("assignedNode", label))
    root.append(_element("canRoam", not label))
    root.append(_element("triggers", *_triggers(job)))
    root.append(_element("builders", _element("hudson.tasks.Shell", _element("command", shell_step(job)))))


def _multibranch(root: ET.Element, job: Job) -> None:
    owner = {"class": MULTIBRANCH, "reference": "../.."}
    includes = _element("includes", " ".join(job.branches))
    traits = _element(
        "traits",
        _element("jenkins.plugins.git.traits.BranchDiscoveryTrait"),
        _element("jenkins.scm.impl.trait.WildcardSCMHeadFilterTrait", includes, _element("excludes", "")),
    )
    source = _element(
        "source",
        {"class": "jenkins.plugins.git.GitSCMSource"},
        _element("id", job.code),
        _element("remote", job.repository),
        _element("credentialsId", job.credentials),
        traits,
    )
    no_properties = _element("properties", {"class": "empty-list"})  # without it, Jenkins fails when it scans
    strategy = _element("strategy", {"class": "jenkins.branch.DefaultBranchPropertyStrategy"}, no_properties)
    data = _element("data", _element("jenkins.branch.BranchSource", source, strategy))
    sources = _element("sources", {"class": "jenkins.branch.MultiBranchProject$BranchSourceList"}, data)
    sources.append(_element("owner", owner))
    root.append(sources)
    factory = "org.jenkinsci.plugins.workflow.multibranch.WorkflowBranchProjectFactory"
    root.append(
        _element("factory", {"class": factory}, _element("owner", owner), _element("scriptPath", job.jenkinsfile))
    )
    orphans = "com.cloudbees.hudson.plugins.folder.computed.DefaultOrphanedItemStrategy"
    root.append(
        _element(
            "orphanedItemStrategy",
            {"class": orphans},
            _element("pruneDeadBranches", True),
            _element("daysToKeep", job.keep_days or -1),
            _element("numToKeep", job.keep_builds or -1),
        )
    )
    root.append(_element("triggers", *_triggers(job)))


def _git(job: Job) -> ET.Element:
    remote = _element("hudson.plugins.git.UserRemoteConfig", _element("url", job.repository))
    if job.credentials:
        remote.append(_element("credentialsId", job.credentials))
    branches = (_element("hudson.plugins.git.BranchSpec", _element("name", f"*/{name}")) for name in job.branches)
    return _element(
        "scm",
        {"class": "hudson.plugins.git.GitSCM"},
        _element("configVersion", 2),
        _element("userRemoteConfigs", remote),
        _element("branches", *branches),
    )


def scan_interval(name: str) -> int:
    """Return the milliseconds of an interval such as ``1d``."""
    return int(name[:-1]) * _UNITS[name[-1]]


def scan_spec(interval: int) -> str:
    """Return the cron line with which Jenkins checks whether ``interval`` (ms) is over, no more often than needed."""
    if interval <= 5 * _UNITS["m"]:
        return "* * * * *"
    return "H/5 * * * *" if interval <= _UNITS["h"] else "H/30 * * * *" if interval <= _UNITS["d"] else "H H * * *"


def _triggers(job: Job) -> list[ET.Element]:
    triggers = job.triggers or {}
    found = []
    if "cron" in triggers:
        found.append(_element("hudson.triggers.TimerTrigger", _element("spec", triggers["cron"])))
    if "poll" in triggers:
        found.append(_element("hudson.triggers.SCMTrigger", _element("spec", triggers["poll"])))
    if "webhook" in triggers:
        lists = (_element(f"generic{kind}") for kind in ("Variables", "RequestVariables", "HeaderVariables"))
        token = _element("tokenCredentialId", triggers["webhook"])
        found.append(_element("org.jenkinsci.plugins.gwt.GenericTrigger", _element("spec"), *lists, token))
    if "scan" in triggers:
        interval = scan_interval(triggers["scan"])
        content = (_element("spec", scan_spec(interval)), _element("interval", interval))
        found.append(_element("com.cloudbees.hudson.plugins.folder.computed.PeriodicFolderTrigger", *content))
    return found


def _rotation(job: Job, tag: str, attributes: dict[str, str]) -> ET.Element | None:
    if not (job.keep_builds or job.keep_days):
        return None
    return _element(
        tag,
        attributes,
        _element("daysToKeep", job.keep_days or -1),
        _element("numToKeep", job.keep_builds or -1),
        _element("artifactDaysToKeep", -1),
        _element("artifactNumToKeep", -1),
    )


def _parameters(job: Job) -> list[ET.Element]:
    if not job.parameters:
        return []
    definitions = _element("parameterDefinitions")
    for parameter in job.parameters:
        kind = parameter.get("type", "string")
        definition = _element(_PARAMETER.format(kind.capitalize()), _element("name", parameter["name"]))
        definition.append(_element("description", parameter.get("description", "")))
        if kind == "choice":
            choices = _element(
                "a", {"class": "string-array"}, *(_element("string", one) for one in parameter["choices"])
            )
            definition.append(_element("choices", {"class": "java.util.Arrays$ArrayList"}, choices))
        else:
            definition.append(_element("defaultValue", parameter.get("default", False if kind == "boolean" else "")))
        definitions.append(definition)
    return [_element("hudson.model.ParametersDefinitionProperty", definitions)]


def _element(tag: str, *content: Any) -> ET.Element:
    """Create an element: a dict becomes its attributes, an element a child, anything else its text.

    Line endings are normalised as in every XML parser (W3C XML 1.0, 2.11).
    """
    element = ET.Element(tag)
    for part in content:
        if isinstance(part, dict):
            element.attrib.update(part)
        elif isinstance(part, ET.Element):
            element.append(part)
        else:
            text = str(part).lower() if isinstance(part, bool) else str(part)
            element.text = text.replace("\r\n", "\n").replace("\r", "\n")
    return element


def _text(root: ET.Element) -> str:
    ET.indent(root)
    return "<?xml version='1.0' encoding='UTF-8'?>\n" + ET.tostring(root, encoding="unicode") + "\n"
