"""Creates a first jobs file from the jobs in Jenkins, so that adoption starts from the current state."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any
from xml.etree import ElementTree as ET

from container_pipeline.errors import SettingsError
from container_pipeline.i18n import _
from container_pipeline.model import Code
from container_pipeline.outside import Unreadable
from container_pipeline.plan.seed import configxml, jobread, schema
from container_pipeline.plan.seed import jobs as plan_jobs
from container_pipeline.plan.seed.jobtext import Marker, find_marker
from container_pipeline.plan.seed.jobxml import MULTIBRANCH, scan_interval

#: Keys that go into `defaults:` if all projects have the same value.
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
                remarks.append(_("{name}: its Jenkinsfile is in the repository and was not read", name=name))
            continue
        project = _project(name, root, text, marker)
        remarks += _dropped_parameters(name, root)
        try:
            Code(project["code"])
        except SettingsError as error:
            remarks.append(f"{name}: {error.message}")
            continue
        if not project["repository"]:
            remarks.append(_("{name}: its repository is not known; set `repository:`", name=name))
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
        "description": description.rpartition("\n")[0].strip() if marker else description,
        **_branches(root, text),
        "credentials": _any(root.find(".//scm"), ("credentialsId",))
        or _any(root.find(".//source"), ("credentialsId",)),
        "jenkinsfile": _path(root),
        **_inline(root, marker),
        "triggers": _triggers(root),
        "parameters": [_parameter(one) for one in root.findall(".//parameterDefinitions/*") if _is_taken(one)],
        "keep_builds": _kept(root),
        "disabled": root.findtext("disabled") == "true",
    }
    return {key: value for key, value in project.items() if value or key in ("repository", "library")}


def _script(root: ET.Element) -> str:
    return "\n".join(filter(None, (root.findtext("definition/script"), *(one.text for one in root.iter("command")))))


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return next((group.strip("'\"") for group in found.groups() if group), "") if found else ""


def _any(root: ET.Element | None, tags: Sequence[str]) -> str:
    """Return the first text of an element with this name anywhere below ``root``."""
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


def _inline(root: ET.Element, marker: Marker | None) -> Project:
    """Return the keys in the job itself, from its Jenkinsfile or its shell step."""
    script = root.findtext("definition/script")
    label = root.findtext("assignedNode") or ""
    try:
        if script is not None:
            found = jobread.read_jenkinsfile(script)
        elif root.tag == "project" and marker:
            found = jobread.read_shell_step("\n".join(one.text or "" for one in root.iter("command")))
        else:
            found = {}
    except (ValueError, IndexError):  # a handwritten Jenkinsfile or step, which a jobs file cannot express
        found = {"pipeline": script is not None}
    if label:
        found["pipeline"] = {"node": label, **(found.get("pipeline") or {})}
    if found.get("library") == "container-pipeline" or (script is not None and not marker):
        found.pop("library", None)
    if found.get("branch") == "main":
        del found["branch"]
    return {key: value for key, value in found.items() if value or key == "library"}


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


def _is_taken(element: ET.Element) -> bool:
    """Return whether a jobs file can express this parameter."""
    kind = re.fullmatch(r"hudson\.model\.(String|Text|Boolean|Choice)ParameterDefinition", element.tag)
    named = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", element.findtext("name") or "")
    return bool(kind and named and (kind[1] != "Choice" or next(element.iter("string"), None) is not None))


def _dropped_parameters(name: str, root: ET.Element) -> list[str]:
    dropped = [
        one.findtext("name") or one.tag for one in root.findall(".//parameterDefinitions/*") if not _is_taken(one)
    ]
    return [_("{name}: a jobs file cannot hold its parameter {parameter}", name=name, parameter=one) for one in dropped]


def checked(found: Sequence[Project], rules: schema.Schema) -> tuple[list[Project], list[str]]:
    """Return the projects without parts that seed would refuse, and a remark on each such part."""
    kept: list[Project] = []
    remarks: list[str] = []
    for one in found:
        project: Project | None = dict(one)
        while project is not None:
            document = {"projects": [project]}
            problems = list(schema.check(rules, document)) or plan_jobs.read(document)[1]
            if not problems:
                kept.append(project)
                break
            remarks.append(f"{one.get('name') or one['code']}: {problems[0].message}")
            key = problems[0].path[2] if len(problems[0].path) > 2 else ""
            if key in ("code", "name", "folder", "repository") or project.pop(key, None) is None:
                project = None
    return kept, remarks


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
    """Return a project for each repository address; its last part is the code."""
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


def set_name(items: Iterable[tuple[str, str]]) -> str:
    """Return the name of the jobs file that created all jobs of seed; "" for several or none."""
    names = set()
    for _name, config in items:
        try:
            marker = find_marker(configxml.description(configxml.parse(config)))
        except Unreadable:
            continue
        names |= {marker.set_name} if marker and marker.code else set()
    return names.pop() if len(names) == 1 else ""


def document(found: Sequence[Project], name: str = "") -> dict[str, Any]:
    """Return the content of the jobs file ``name``; values that all projects share are in ``defaults``."""
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
    head = {"name": name} if name not in ("", "jobs") else {}
    return {**head, **({"defaults": defaults} if defaults else {}), "projects": short}
