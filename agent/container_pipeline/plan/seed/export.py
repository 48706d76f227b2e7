"""What Jenkins has → a first jobs file, so that adoption starts from today's state."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any
from xml.etree import ElementTree as ET

from container_pipeline.errors import SettingsError
from container_pipeline.i18n import _
from container_pipeline.model import Code
from container_pipeline.outside import Unreadable
from container_pipeline.plan.seed import configxml
from container_pipeline.plan.seed.jobtext import Marker, find_marker
from container_pipeline.plan.seed.jobxml import MULTIBRANCH, scan_interval

#: Keys that go into `defaults:` where every project says the same.
_SHARED = ("kind", "folder", "branch", "credentials", "keep_builds")
_CALLS = re.compile(r"docker\.sh|containerPipeline|container-pipeline")
_CODE = re.compile(
    r"code:\s*['\"]([^'\"]+)|CONTAINER_PIPELINE_CODE=(\S+)|docker\.sh[\"']?[ \t]+[a-z-]+[ \t]+[\"']?([\w./-]+)"
)
_REPOSITORY = re.compile(r"git url:\s*['\"]([^'\"]+)|git (?:clone|fetch)(?: -\S+| --depth \d+)* ['\"]?([^\s'\"]+)")
_SCANS = (
    "1m",
    "2m",
    "5m",
    "10m",
    "15m",
    "20m",
    "25m",
    "30m",
    "1h",
    "2h",
    "4h",
    "8h",
    "12h",
    "1d",
    "2d",
    "1w",
    "2w",
    "4w",
)

Project = dict[str, Any]


def projects(items: Iterable[tuple[str, str]]) -> tuple[list[Project], list[str]]:
    """Return projects for the jobs (full name, configuration) that build images, and a remark on each doubtful one."""
    found: list[Project] = []
    remarks: list[str] = []
    for name, config in items:
        try:
            root = configxml.parse(config)
        except Unreadable as error:
            remarks.append(_("{name}: its configuration cannot be read: {problem}", name=name, problem=error.problem))
            continue
        marker = find_marker(configxml.description(root))
        text = _script(root)
        if not (marker or _CALLS.search(text)):
            if root.find("definition/scm") is not None or root.tag == MULTIBRANCH:
                remarks.append(_("{name}: its Jenkinsfile is in the repository and was not seen", name=name))
            continue
        project = _project(name, root, text, marker)
        try:
            Code(project["code"])
        except SettingsError as error:
            remarks.append(f"{name}: {error.message}")
            continue
        if not project["repository"]:
            remarks.append(_("{name}: where its repository is was not seen; set `repository:`", name=name))
            continue
        found.append(project)
    return found, remarks


def _project(name: str, root: ET.Element, text: str, marker: Marker | None) -> Project:
    folder, _slash, short = name.rpartition("/")
    code = marker.code if marker else _first(_CODE, text).rpartition("/")[2] or short.lower()
    description = configxml.description(root)
    project: Project = {
        "code": code,
        "repository": _any(root, ("url", "remote")) or (marker.repository if marker else _first(_REPOSITORY, text)),
        "name": "" if short == code else short,
        "folder": folder,
        "kind": {"project": "freestyle", MULTIBRANCH: "multibranch"}.get(root.tag, ""),
        "description": "\n".join(description.splitlines()[:-1]).strip() if marker else description,
        **_branches(root, text),
        "credentials": _any(root.find(".//scm"), ("credentialsId",))
        or _any(root.find(".//source"), ("credentialsId",)),
        "jenkinsfile": _path(root),
        "pipeline": _pipeline(root, text),
        "triggers": _triggers(root),
        "parameters": [_parameter(one) for one in root.findall(".//parameterDefinitions/*")],
        "keep_builds": _kept(root),
        "disabled": root.findtext("disabled") == "true",
    }
    return {key: value for key, value in project.items() if value or key == "repository"}


def _script(root: ET.Element) -> str:
    return "\n".join(filter(None, (root.findtext("definition/script"), *(one.text for one in root.iter("command")))))


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return next((group.strip("'\"") for group in found.groups() if group), "") if found else ""


def _any(root: ET.Element | None, tags: Sequence[str]) -> str:
    """Return the first text that an element of such a name has anywhere below ``root``."""
    elements = root.iter() if root is not None else ()
    return next((one.text.strip() for one in elements if one.tag in tags and one.text and one.text.strip()), "")


def _branches(root: ET.Element, text: str) -> Project:
    names = [one.findtext("name") or "" for one in root.iter("hudson.plugins.git.BranchSpec")]
    if root.tag == MULTIBRANCH:
        names = _any(root, ("includes",)).split()
    elif not names:
        names = re.findall(r"branch: '([^']+)'|git fetch .* (\S+)\n", text)[:1]
        names = [one for pair in names for one in pair if one]
    names = [re.sub(r"^(\*/|origin/|refs/heads/)", "", name).strip("'") for name in names]
    default = ["*"] if root.tag == MULTIBRANCH else ["main"]
    if names in ([], default):
        return {}
    return {"branch": names[0]} if len(names) == 1 else {"branches": names}


def _path(root: ET.Element) -> str:
    path = _any(root, ("scriptPath",))
    return "" if path == "Jenkinsfile" else path


def _pipeline(root: ET.Element, text: str) -> Any:
    if root.tag == "project":
        label = root.findtext("assignedNode") or ""
        return {"node": label} if label else ""
    if root.find("definition/script") is None:
        return ""
    found = re.search(r"^node\('([^']+)'\)", text, re.MULTILINE)
    return {"node": found[1]} if found else True


def _triggers(root: ET.Element) -> dict[str, str]:
    found = {
        "cron": _any(_one(root, "hudson.triggers.TimerTrigger"), ("spec",)),
        "poll": _any(_one(root, "hudson.triggers.SCMTrigger"), ("spec",)),
        "webhook": _any(root, ("tokenCredentialId",)),
    }
    interval = _any(root, ("interval",))
    found["scan"] = next((name for name in _SCANS if str(scan_interval(name)) == interval), "")
    return {name: value for name, value in found.items() if value}


def _one(root: ET.Element, tag: str) -> ET.Element | None:
    return next(root.iter(tag), None)


def _parameter(element: ET.Element) -> Project:
    kind = re.sub(r".*\.|ParameterDefinition$", "", element.tag).lower()
    default: Any = element.findtext("defaultValue") or ""
    parameter = {
        "name": element.findtext("name") or "",
        "type": "" if kind == "string" else kind,
        "default": default == "true" if kind == "boolean" else default,
        "choices": [one.text or "" for one in element.iter("string")],
        "description": element.findtext("description") or "",
    }
    return {key: value for key, value in parameter.items() if value}


def _kept(root: ET.Element) -> Any:
    kept = {"builds": _any(root, ("numToKeep",)), "days": _any(root, ("daysToKeep",))}
    numbers = {name: int(text) for name, text in kept.items() if text.isdigit() and text != "0"}
    return numbers["builds"] if list(numbers) == ["builds"] else numbers


def from_addresses(addresses: Iterable[str]) -> tuple[list[Project], list[str]]:
    """Return a project for each repository's address: its last part is the code."""
    found: list[Project] = []
    remarks: list[str] = []
    for address in addresses:
        name = re.sub(r"\.git/?$|/$", "", address)
        code = re.split(r"[/:]", name)[-1].lower()
        try:
            found.append({"code": str(Code(code)), "repository": address})
        except SettingsError as error:
            remarks.append(f"{address}: {error.message}")
    return found, remarks


def document(found: Sequence[Project]) -> dict[str, Any]:
    """Return the jobs file's content: what all projects say alike stands once, in ``defaults``."""
    defaults: Project = {}
    for key in _SHARED:
        values = [one.get(key) for one in found]
        if len(found) > 1 and values[0] and all(value == values[0] for value in values):
            defaults[key] = values[0]
    pattern = {one["repository"].replace(one["code"], "{code}") for one in found}
    if len(found) > 1 and len(pattern) == 1 and "{code}" in (common := pattern.pop()):
        defaults["repository"] = common
    rest = [{key: value for key, value in one.items() if key not in defaults} for one in found]
    short: list[Any] = [one["code"] if list(one) == ["code"] else one for one in rest]
    return {"defaults": defaults, "projects": short} if defaults else {"projects": short}
