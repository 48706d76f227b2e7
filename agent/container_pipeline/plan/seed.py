"""What Jenkins has and what the jobs file says → what has to change. Only what seed made itself is ever touched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Callable, ClassVar

from container_pipeline.i18n import _
from container_pipeline.plan import configxml
from container_pipeline.plan.jobs import Job
from container_pipeline.plan.jobtext import Marker, find_marker
from container_pipeline.plan.jobxml import ROOTS, folder_xml, job_xml, view_xml
from container_pipeline.plan.steps import Step

#: What is done in which order: folders first, old things last. Within one phase the order does not matter.
PHASES = (
    ("create-folder",),
    ("move",),
    ("create", "update", "replace", "disable"),
    ("create-view", "update-view"),
    ("delete", "delete-view"),
    ("delete-folder",),
)


@dataclass(frozen=True)
class Item:
    """A job or folder that Jenkins has; ``config`` is "" where it bears no marker and was not asked for."""

    name: str
    config: str = ""
    folder: bool = False

    @property
    def marker(self) -> Marker | None:
        return find_marker(configxml.description(configxml.parse(self.config))) if self.config else None


@dataclass(frozen=True)
class State:
    """What Jenkins has: items and the views asked for, by full name; ``plugins`` is None where it does not tell."""

    items: Mapping[str, Item]
    views: Mapping[str, str] = field(default_factory=dict)
    plugins: Collection[str] | None = None


@dataclass(frozen=True)
class Change(Step):
    """One change of one thing in Jenkins. ``source`` is where a moved job is now; ``diff`` is for a person."""

    name: ClassVar[str] = "seed"
    action: str
    item: str
    config: str = ""
    source: str = ""
    diff: tuple[str, ...] = ()

    def describe(self) -> str:
        texts = {
            "create-folder": _("create folder {item}", item=self.item),
            "move": _("move {source} to {item}, with its history", source=self.source, item=self.item),
            "create": _("create {item}", item=self.item),
            "update": _("update {item}", item=self.item),
            "replace": _("replace {item}: its kind changes, its history goes", item=self.item),
            "disable": _("disable {item}: the jobs file no longer names it", item=self.item),
            "create-view": _("create view {item}", item=self.item),
            "update-view": _("update view {item}", item=self.item),
            "delete": _("remove {item} and its history: the jobs file no longer names it", item=self.item),
            "delete-view": _("remove view {item}", item=self.item),
            "delete-folder": _("remove folder {item}: nothing is left in it", item=self.item),
        }
        return "\n".join([texts[self.action], *(f"    {line}" for line in self.diff)])


@dataclass(frozen=True)
class Refused:
    """A job that is left as it is, and why."""

    item: str
    reason: str


@dataclass
class Plan:
    """The changes in the order of their phases, the jobs that are already right, and those that seed may not touch."""

    changes: list[Change] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    def phases(self) -> Iterator[list[Change]]:
        for actions in PHASES:
            yield [change for change in self.changes if change.action in actions]


def make(jobs: Iterable[Job], state: State, sets: Collection[str], *, prune: bool = False, adopt: bool = False) -> Plan:
    """Return what makes Jenkins be as ``jobs`` say. ``sets`` are the names of the jobs files that were read.

    ``prune`` removes what the files no longer name, instead of disabling it; ``adopt`` takes over jobs of the same name.
    """
    planner = _Planner({job.full_name: job for job in jobs}, state, sets, prune, adopt)
    planner.folders()
    planner.jobs()
    planner.views()
    planner.rest()
    order = {action: number for number, actions in enumerate(PHASES) for action in actions}
    planner.plan.changes.sort(key=lambda change: order[change.action])
    return planner.plan


class _Planner:
    """Holds the facts while a plan is made."""

    def __init__(
        self, wanted: Mapping[str, Job], state: State, sets: Collection[str], prune: bool, adopt: bool
    ) -> None:
        self.wanted, self.state, self.sets, self.prune, self.adopt = wanted, state, sets, prune, adopt
        self.plan = Plan()
        self.markers = {name: marker for name, item in state.items.items() if (marker := item.marker)}
        self.ours = {
            name: marker
            for name, marker in self.markers.items()
            if marker.set_name in sets and not state.items[name].folder
        }
        self.moved: dict[str, str] = {}

    def folders(self) -> None:
        for path, job in self._folders().items():
            item = self.state.items.get(path)
            if item is None:
                self._change("create-folder", path, folder_xml(job.set_name))
            elif not item.folder:
                below = [name for name in self.wanted if name.startswith(path + "/")]
                self.plan.refused += [Refused(name, _("{path} is a job, not a folder", path=path)) for name in below]

    def jobs(self) -> None:
        self.moved = _find_moves(self.wanted, self.ours, self.state.items)
        refused = {one.item for one in self.plan.refused}
        for name, source in self.moved.items():
            if name not in refused:
                self.plan.changes.append(Change("move", name, source=source))
        for name, job in self.wanted.items():
            if name not in refused:
                self._job(name, job)

    def _job(self, name: str, job: Job) -> None:
        source = self.moved.get(name, name)
        item = self.state.items.get(source)
        config = job_xml(job)
        if item is None:
            self._change("create", name, config)
            return
        reason = self._not_ours(source, item)
        if reason:
            self.plan.refused.append(Refused(name, reason))
            return
        if configxml.parse(item.config).tag != ROOTS[job.kind]:
            self._replace(name, config)
            return
        diff = configxml.differences(configxml.canonical(item.config), configxml.canonical(config))
        if diff:
            self._change("update", name, config, tuple(diff))
        elif source == name:
            self.plan.unchanged.append(name)

    def _not_ours(self, name: str, item: Item) -> str:
        """Return why seed may not touch the item; "" where it may."""
        if item.folder:
            return _("a folder has this name")
        marker = self.markers.get(name)
        if marker and marker.set_name in self.sets:
            return ""
        if self.adopt and item.config:
            return ""
        if marker:
            return _("jobs file {name} made it; --adopt takes it over", name=marker.set_name)
        return _("seed did not make it; --adopt takes it over")

    def _replace(self, name: str, config: str) -> None:
        if self.prune:
            self._change("replace", name, config)
        else:
            self.plan.refused.append(Refused(name, _("its kind changes, so its history would go; --prune allows that")))

    def views(self) -> None:
        for path, job in self._folders().items():
            has, wants = self.state.views.get(path), view_xml(job.set_name, path)
            if path in self.state.items and not self.state.items[path].folder:
                continue
            if has is None:
                self._change("create-view", path, wants)
            elif find_marker(configxml.description(configxml.parse(has))):
                diff = configxml.differences(configxml.canonical(has), configxml.canonical(wants))
                if diff:
                    self._change("update-view", path, wants, tuple(diff))

    def rest(self) -> None:
        """What the files no longer name: disabled, or with ``prune`` removed, with the folders that it leaves empty."""
        gone = set(self.ours) - set(self.wanted) - set(self.moved.values())
        for name in sorted(gone):
            if self.prune:
                self._change("delete", name)
            elif configxml.parse(self.state.items[name].config).findtext("disabled") != "true":
                self._change("disable", name)
        if self.prune:
            self._empty_folders(gone | set(self.moved.values()))

    def _empty_folders(self, gone: set[str]) -> None:
        left = (set(self.state.items) - gone) | set(self.wanted)
        for name in sorted(left, key=lambda name: -name.count("/")):
            item, marker = self.state.items.get(name), self.markers.get(name)
            ours = item is not None and item.folder and marker is not None and marker.set_name in self.sets
            if ours and not any(other.startswith(name + "/") for other in left):
                left.discard(name)
                self._change("delete-folder", name)
                view = self.state.views.get(name)
                if view and find_marker(configxml.description(configxml.parse(view))):
                    self._change("delete-view", name)

    def _folders(self) -> dict[str, Job]:
        """Return every folder that is needed, the outer before the inner, each with a job that needs it."""
        found: dict[str, Job] = {}
        for job in self.wanted.values():
            parts = job.folder.split("/") if job.folder else []
            for depth in range(1, len(parts) + 1):
                found.setdefault("/".join(parts[:depth]), job)
        return dict(sorted(found.items(), key=lambda pair: (pair[0].count("/"), pair[0])))

    def _change(self, action: str, item: str, config: str = "", diff: tuple[str, ...] = ()) -> None:
        self.plan.changes.append(Change(action, item, config, diff=diff))


def _find_moves(wanted: Mapping[str, Job], ours: Mapping[str, Marker], items: Collection[str]) -> dict[str, str]:
    """Return the new name → the present name of each job that is known again under another name.

    Known by code and repository; else, where only one on each side fits, by repository (the code changed) or by code
    (the repository moved). Moves whose target is taken wait for it to be free; jobs that only swap stay in place.
    """
    pairs: dict[str, str] = {}
    for key in (
        lambda code, repository: f"{code} {repository}",
        None,
        lambda code, repository: repository,
        lambda code, repository: code,
    ):
        free_jobs = [job for name, job in wanted.items() if name not in pairs]
        free_items = {name: marker for name, marker in ours.items() if name not in pairs.values()}
        if key is None:
            pairs.update({job.full_name: job.full_name for job in free_jobs if job.full_name in free_items})
        else:
            pairs.update(_pair(free_jobs, free_items, key))
    return _in_order({new: old for new, old in pairs.items() if new != old}, set(items))


def _pair(jobs: list[Job], items: Mapping[str, Marker], key: Callable[[str, str], str]) -> dict[str, str]:
    """Pair what has the same key, where it is the only one on either side; what stands at its place is preferred."""
    here = {job.full_name: key(job.code, job.repository) for job in jobs}
    there = {name: key(marker.code, marker.repository) for name, marker in items.items()}
    pairs = {name: name for name, value in here.items() if there.get(name) == value}
    for name in pairs:
        del here[name], there[name]
    wanted, has = Counter(here.values()), Counter(there.values())
    names = {value: name for name, value in there.items()}
    pairs.update({name: names[value] for name, value in here.items() if wanted[value] == has[value] == 1})
    return pairs


def _in_order(moves: dict[str, str], taken: set[str]) -> dict[str, str]:
    """Return the moves that can be done, in an order in which each target is free."""
    ordered: dict[str, str] = {}
    while True:
        possible = [new for new in moves if new not in taken]
        if not possible:
            return ordered
        for new in possible:
            ordered[new] = moves.pop(new)
            taken.discard(ordered[new])
            taken.add(new)


def missing_plugins(jobs: Iterable[Job], plugins: Collection[str] | None) -> dict[str, str]:
    """Return plugin → the first job that needs it, for those that Jenkins lacks; nothing where it does not tell."""
    missing: dict[str, str] = {}
    if plugins is None:
        return missing
    for job in jobs:
        for choice in _plugins(job):
            if not any(name in plugins for name in choice):
                missing.setdefault(choice[0], job.full_name)
    return missing


def _plugins(job: Job) -> Iterator[tuple[str, ...]]:
    """Yield the plugins that a job needs, each with its older names."""
    if job.folder:
        yield ("cloudbees-folder",)
    if job.uses_git_plugin:
        yield ("git",)
    if job.kind == "pipeline":
        yield from (("workflow-job",), ("workflow-cps",))
    if job.kind == "multibranch":
        yield ("workflow-multibranch",)
    if job.pipeline is not None and job.kind == "pipeline" and job.library:
        yield ("pipeline-groovy-lib", "workflow-cps-global-lib")
    if (job.triggers or {}).get("webhook"):
        yield ("generic-webhook-trigger",)
