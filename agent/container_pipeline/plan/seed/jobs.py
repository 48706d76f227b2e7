"""Resolves a jobs file: merges the defaults into each project and validates every value."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from container_pipeline.errors import SettingsError
from container_pipeline.i18n import _
from container_pipeline.keys import BY_NAME
from container_pipeline.model import NOT_XML, Code
from container_pipeline.plan.seed.schema import Path, Problem
from container_pipeline.values import convert

#: Keys whose maps are merged with those of the defaults; every other key replaces.
_MERGED = ("triggers", "pipeline")
#: If a project sets the first key, the second one of the defaults is ignored.
_EITHER = (("jenkinsfile", "pipeline"), ("pipeline", "jenkinsfile"), ("branch", "branches"), ("branches", "branch"))
#: Names in Jenkins (jenkins.model.Jenkins.checkGoodName): without these characters, and without blanks at the ends.
_NAME = re.compile(
    r"(?![\s.]+$)[^\s?*/\\%!@#$^&|<>\[\]:;](?:[^\x00-\x1f\x7f-\x9f?*/\\%!@#$^&|<>\[\]:;]*[^\s.?*/\\%!@#$^&|<>\[\]:;])?"
)


#: Fields of a cron line with their ranges; and Java's greatest integer.
_CRON_FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_GREATEST = 2**31 - 1
#: A name for a whole line. Jenkins reads exactly one more token after it, which must be valid in cron.
_CRON_NAME = "hourly|daily|midnight|weekly|monthly|yearly|annually"
_NAMED_LINE = re.compile(rf"@(?:{_CRON_NAME})(?:$|[0-9 \t*/,@H()-]|{_CRON_NAME})")
#: Java's time zones besides the tz database, and system entries that are not time zones of Java.
_JAVA_ZONES = re.compile(
    r"ACT|AET|AGT|ART|AST|BET|BST|CAT|CNT|CST|CTT|EAT|ECT|IET|IST|JST|MIT|NET|NST|PLT|PNT|PRT|PST|SST|VST|SystemV/\w+"
)
_NO_JAVA_ZONES = {"Factory", "GMT+0", "GMT-0", "ROC", "localtime", "posixrules"}


@dataclass(frozen=True)
class Job:
    """One job of the jobs file. ``pipeline`` is None if the Jenkinsfile is in the repository."""

    set_name: str
    code: str
    repository: str
    name: str
    folder: str = ""
    kind: str = "pipeline"
    description: str = ""
    branches: tuple[str, ...] = ()
    credentials: str = ""
    jenkinsfile: str = "Jenkinsfile"
    pipeline: Mapping[str, Any] | None = None
    library: str = "container-pipeline"
    triggers: Mapping[str, str] | None = None
    parameters: tuple[Mapping[str, Any], ...] = ()
    keep_builds: int = 0
    keep_days: int = 0
    disabled: bool = False

    @property
    def full_name(self) -> str:
        return f"{self.folder}/{self.name}" if self.folder else self.name

    @property
    def folders(self) -> list[str]:
        """The folders of the job, outer before inner."""
        return list(accumulate(self.folder.split("/"), "{}/{}".format)) if self.folder else []

    @property
    def uses_git_plugin(self) -> bool:
        """Whether the job needs the git plugin; a freestyle job uses plain git in its shell step if possible."""
        return self.kind != "freestyle" or bool(self.credentials or (self.triggers or {}).get("poll"))


def read(document: Mapping[str, Any]) -> tuple[list[Job], list[Problem]]:
    """Return the valid jobs of a file that matches the schema, and the problems of the others."""
    defaults = document.get("defaults", {})
    set_name = document.get("name", "jobs")
    jobs: list[Job] = []
    problems = list(_unprintable(defaults, ("defaults",)))
    for index, entry in enumerate(document["projects"]):
        path = ("projects", index)
        project = {"code": entry} if isinstance(entry, str) else entry
        merged = _merge(defaults, project)
        found = list(_problems(merged, project, path))
        problems.extend(found)
        if not found:
            jobs.append(_job(set_name, merged))
    return jobs, problems


def _merge(defaults: Mapping[str, Any], project: Mapping[str, Any]) -> dict[str, Any]:
    """Merge ``project`` over ``defaults``. A key without a value, also in a merged map, counts as not set."""
    merged = {**defaults, **project}
    for key in _MERGED:
        below, above = defaults.get(key), project.get(key)
        if isinstance(below, dict) and isinstance(above, dict):
            merged[key] = {**below, **above}
    for one, other in _EITHER:
        if _is_set(one, project) and other in defaults and other not in project:
            del merged[other]
    merged = {key: value for key, value in merged.items() if _is_set(key, merged)}
    for key in _MERGED:
        if isinstance(merged.get(key), dict):
            merged[key] = {name: value for name, value in merged[key].items() if _is_set(name, merged[key])}
    merged.setdefault("code", "")
    merged["repository"] = merged.get("repository", "").replace("{code}", merged["code"])
    return merged


def _is_set(key: str, values: Mapping[str, Any]) -> bool:
    """Return whether a key has a value; for ``library``, an empty string is one."""
    return values.get(key) is not None and (values[key] != "" or key == "library")


def _job(set_name: str, merged: Mapping[str, Any]) -> Job:
    kind = merged.get("kind", "pipeline")
    pipeline = merged.get("pipeline")
    keep = merged.get("keep_builds", {})
    keep = {"builds": keep} if isinstance(keep, int) else keep
    default_branch = "*" if kind == "multibranch" else "main"
    return Job(
        set_name=set_name,
        code=merged["code"],
        repository=merged["repository"],
        name=merged.get("name", merged["code"]),
        folder=merged.get("folder", ""),
        kind=kind,
        description=merged.get("description", "").replace("\r\n", "\n").strip(),
        branches=tuple(merged.get("branches") or [merged.get("branch") or default_branch]),
        credentials=merged.get("credentials", ""),
        jenkinsfile=merged.get("jenkinsfile", "Jenkinsfile"),
        pipeline={} if pipeline is True else pipeline,
        library=merged.get("library", "container-pipeline"),
        triggers={name: spec.strip() for name, spec in merged.get("triggers", {}).items()},
        parameters=tuple(
            {key: value for key, value in one.items() if value is not None} for one in merged.get("parameters", ())
        ),
        keep_builds=keep.get("builds", 0),
        keep_days=keep.get("days", 0),
        disabled=merged.get("disabled", False),
    )


def _problems(merged: Mapping[str, Any], project: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    try:
        Code(merged["code"])
    except SettingsError as error:
        yield Problem((*path, "code"), error.message)
    yield from _unprintable(project, path)
    yield from _repository_problems(merged["repository"], (*path, "repository"))
    for key in ("folder", "name"):
        parts = merged.get(key, "x").split("/") if key == "folder" else [merged.get(key, "x")]
        if not all(_NAME.fullmatch(part) for part in parts):
            yield Problem(
                (*path, key),
                _(
                    "{value!r} is not a valid Jenkins name: use letters, digits, dots and dashes",
                    value=merged[key],
                ),
            )
    for branch in merged.get("branches", [merged.get("branch", "main")]):
        if not _is_branch(branch):
            yield Problem((*path, "branch"), _("{value!r} is not a valid git branch name", value=branch))
    for trigger in ("cron", "poll"):
        if trigger in merged.get("triggers", {}):
            yield from _cron_problems(merged["triggers"][trigger], (*path, "triggers", trigger))
    yield from _pattern_problems(merged.get("pipeline"), (*path, "pipeline", "branches"))
    yield from _kind_problems(merged, project, path)
    yield from _parameter_problems(merged.get("parameters", ()), path)


def _pattern_problems(pipeline: Any, path: Path) -> Iterator[Problem]:
    patterns = pipeline.get("branches") if isinstance(pipeline, dict) else None
    try:
        convert(BY_NAME["branches"], patterns or BY_NAME["branches"].default, "pipeline")
    except SettingsError as error:
        yield Problem(path, error.message, error.hint)


def _unprintable(value: Any, path: Path) -> Iterator[Problem]:
    if isinstance(value, str):
        found = NOT_XML.search(value)
        if found:
            yield Problem(path, _("a job cannot contain control character {code}", code=f"U+{ord(found[0]):04X}"))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _unprintable(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unprintable(item, (*path, index))


def _repository_problems(repository: str, path: Path) -> Iterator[Problem]:
    if not repository:
        yield Problem(path, _("no repository is set"), _("set `repository:`, or one with {code} in `defaults:`"))
    elif not re.fullmatch(r"[^\s\x00-\x20-][^\s\x00-\x20]*", repository):
        yield Problem(path, _("{value!r} is not the address of a repository", value=repository))
    elif re.match(r"[a-z+]+://(?:[^/@]*:[^/@]*|(?:gh[opsu]_|github_pat_|glpat-)[^/@]*)@", repository):
        yield Problem(
            path,
            _("the repository's address holds a password"),
            _("store it in Jenkins, and set its id in `credentials:`"),
        )


def _is_branch(name: str) -> bool:
    """Check a branch name by git-check-ref-format(1), but allow ``*``, which Jenkins reads as a pattern."""
    return bool(name) and not re.search(r"[\x00-\x20\x7f~^:?\[\\]|\.\.|^[-/.]|//|@\{|[/.]$|\.lock$", name)


def _kind_problems(merged: Mapping[str, Any], project: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    kind = merged.get("kind", "pipeline")
    if _is_set("jenkinsfile", project) and _is_set("pipeline", project):
        yield Problem(
            (*path, "pipeline"), _("`pipeline:` writes a Jenkinsfile and `jenkinsfile:` names one: set one of them")
        )
    if _is_set("branch", project) and _is_set("branches", project):
        yield Problem((*path, "branch"), _("set `branch:` or `branches:`, not both"))
    if kind == "multibranch":
        yield from _multibranch_problems(merged, path)
    elif "scan" in merged.get("triggers", {}):
        yield Problem((*path, "triggers", "scan"), _("only a multibranch job scans; set when to `poll:`"))
    one_branch = kind == "freestyle" or (kind == "pipeline" and merged.get("pipeline"))
    if len(merged.get("branches", ())) > 1 and one_branch:
        yield Problem((*path, "branches"), _("this kind of job builds one branch; `kind: multibranch` builds many"))
    if kind == "freestyle":
        yield from _freestyle_problems(merged.get("pipeline"), path)


def _multibranch_problems(merged: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    for key in ("pipeline", "parameters"):
        if merged.get(key):
            yield Problem((*path, key), _("a multibranch job takes `{key}:` from each branch's Jenkinsfile", key=key))
    for name in ("poll", "cron", "webhook"):
        if name in merged.get("triggers", {}):
            message = _("a multibranch job has no {name}; set how often to `scan:`", name=name)
            yield Problem((*path, "triggers", name), message)


def _cron_problems(spec: str, path: Path) -> Iterator[Problem]:
    """Check a trigger: Jenkins drops an invalid one and reports that only in its log."""
    for number, line in enumerate(re.split(r"\r?\n", spec)):
        # As Java's trim(): for Jenkins, only ASCII has blanks.
        text = line.strip("".join(map(chr, range(33))))
        if number == 0 and text.startswith("TZ="):
            if not _is_time_zone(text[3:]):
                yield Problem(
                    path,
                    _("{zone!r} is not a time zone that Jenkins knows", zone=text[3:]),
                    _("write its name in the tz database, such as TZ=Asia/Shanghai"),
                )
            continue
        if not text or text.startswith("#") or _NAMED_LINE.match(text):
            continue
        fields = re.split(r"[ \t]+", text)
        bad = [field for field, limits in zip(fields, _CRON_FIELDS) if not _is_cron_field(field, *limits)]
        if len(fields) != len(_CRON_FIELDS) or bad:
            yield Problem(
                path,
                _("{line!r} is not a line of a Jenkins cron", line=text),
                _(
                    "write minute, hour, day, month and weekday (0-7) as numbers, * or H (spread), or @daily and the like"
                ),
            )


@functools.cache
def _time_zones() -> set[str]:
    """Return the time zones that this machine has data of; each time would read 600 files."""
    import zoneinfo

    return zoneinfo.available_timezones()


def _is_time_zone(name: str) -> bool:
    """Return whether Java knows a time zone; without a list on this machine, whether it can be one."""
    known = _time_zones()
    if not known:
        return bool(re.fullmatch(r"[\w+/:-]+", name, re.ASCII))
    return (name in known and name not in _NO_JAVA_ZONES) or bool(_JAVA_ZONES.fullmatch(name))


def _is_cron_field(text: str, least: int, most: int) -> bool:
    """Return whether Jenkins accepts a field: terms such as ``1-5``, ``*/2``, ``H``, ``H(0-29)/10``.

    A step of ``H`` may not exceed its range, which defaults to 28 for days and 6 for weekdays.
    """
    for term in text.split(","):
        found = re.fullmatch(r"(?:\*|H|H\((\d+)-(\d+)\)|(\d+)(?:-(\d+))?)(?:/(\d+))?", term, re.ASCII)
        if found is None:
            return False
        low, high = found[1] or found[3], found[2] or found[4] or found[1] or found[3]
        step = found[5]
        if low and not least <= int(low) <= int(high) <= most:
            return False
        spread = int(high) - int(low) + 1 if low else {31: 28, 7: 7}.get(most, most - least + 1)
        longest = spread if term.startswith("H") else _GREATEST
        if step and (not 1 <= int(step) <= longest or (found[3] and not found[4])):
            return False
    return True


def _freestyle_problems(pipeline: Any, path: Path) -> Iterator[Problem]:
    """Check the keys of a freestyle job: it runs ``ship``, which supports the project file's keys, not those of Jenkins' steps."""
    keys = pipeline if isinstance(pipeline, dict) else {}
    for key in ("promote", "deploy", "approve", "notify", "credentials", "environments"):
        if key in keys:
            yield Problem(
                (*path, "pipeline", key), _("a freestyle job does not support `{key}`; a pipeline job does", key=key)
            )


def _parameter_problems(parameters: Any, path: Path) -> Iterator[Problem]:
    for index, parameter in enumerate(parameters):
        place = (*path, "parameters", index)
        kind = parameter.get("type", "string")
        default = parameter.get("default")
        if (kind == "choice") != ("choices" in parameter):
            yield Problem(place, _("set `choices:` and `type: choice` together"))
        if kind == "choice" and default is not None:
            yield Problem(place, _("the first of `choices:` is the default: put that one first"))
        if kind == "boolean" and not isinstance(default, (bool, type(None))):
            yield Problem(place, _("the default of a boolean is true or false"))
