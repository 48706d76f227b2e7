"""Plans the changes from the items in Jenkins to the jobs file. Only items that seed created are ever changed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from container_pipeline.i18n import _
from container_pipeline.plan.seed import configxml
from container_pipeline.plan.seed.configxml import Reading
from container_pipeline.plan.seed.jobmoves import find_moves
from container_pipeline.plan.seed.jobs import Job
from container_pipeline.plan.seed.jobtext import Marker, find_marker
from container_pipeline.plan.seed.jobxml import ROOTS, folder_xml, job_tree, job_xml, view_xml
from container_pipeline.plan.steps import Step

#: Phases in order: folders first, old items last. Within a phase, the order matters only for ``ALONE``.
PHASES = (
    ("create-folder",),
    ("move",),
    ("create", "update", "replace", "disable"),
    ("create-view", "update-view"),
    ("delete",),
    ("delete-view", "delete-folder"),
)
#: Actions that run one after another, in the order of the plan.
ALONE = ("create-folder", "move", "delete-view", "delete-folder")
#: Number of own jobs that may go at once without confirmation, however few stay.
HANDFUL = 10


@dataclass(frozen=True)
class Item:
    """A job or folder in Jenkins; ``config`` is "" if it has no mark and was not fetched."""

    name: str
    config: str = ""
    folder: bool = False

    @cached_property
    def reading(self) -> Reading:
        """The parsed configuration; empty if it is not XML."""
        try:
            return configxml.read(self.config)
        except ValueError:
            return Reading("", "", [])

    @cached_property
    def marker(self) -> Marker | None:
        return find_marker(self.reading.description) if self.config else None


def mark_of(config: str) -> str:
    """Return the mark in a configuration, "" without one or if it is not XML."""
    return str(Item("", config).marker or "")


@dataclass(frozen=True)
class State:
    """The facts from Jenkins: items and requested views by full name; ``plugins`` is None if the account may not list them."""

    items: Mapping[str, Item]
    views: Mapping[str, str] = field(default_factory=dict)
    plugins: Collection[str] | None = None


@dataclass(frozen=True)
class Change(Step):
    """One change of one item in Jenkins. ``source`` is the current place of a moved job; ``diff`` is for people.

    ``heir`` is the job that the file now has for the project of a job that goes, or "".
    ``mark`` is the item's mark when the plan was made; with a different mark, the item is not changed.
    """

    name: ClassVar[str] = "seed"
    action: str
    item: str
    config: str = ""
    source: str = ""
    diff: tuple[str, ...] = ()
    heir: str = ""
    mark: str = field(default="", compare=False)

    @property
    def label(self) -> str:
        """The name for people: a folder and the view beside it have the same full name."""
        if self.action.endswith("-folder"):
            return _("folder {name}", name=self.item)
        return _("view {name}", name=self.item) if self.action.endswith("-view") else self.item

    def describe(self) -> str:
        why = _("it is no longer in the jobs file")
        if self.heir:
            why = _("the jobs file now has {name} for its project", name=self.heir)
        texts = {
            "create-folder": _("create folder {item}", item=self.item),
            "move": _("move {source} to {item}, with its history", source=self.source, item=self.item),
            "create": _("create {item}", item=self.item),
            "update": _("update {item}", item=self.item),
            "replace": _("replace {item}: its kind changes, and its history is deleted", item=self.item),
            "disable": _("disable {item}: {why}", item=self.item, why=why),
            "create-view": _("create view {item}", item=self.item),
            "update-view": _("update view {item}", item=self.item),
            "delete": _("remove {item} and its history: {why}", item=self.item, why=why),
            "delete-view": _("remove view {item}", item=self.item),
            "delete-folder": _("remove folder {item}: it is empty", item=self.item),
        }
        return "\n".join([texts[self.action], *(f"    {line}" for line in self.diff)])


@dataclass(frozen=True)
class Refused:
    """A job that is left unchanged, and the reason."""

    item: str
    reason: str


@dataclass
class SeedPlan:
    """The changes in the order of phases, the unchanged jobs, and those that seed may not touch.

    ``staying`` is the number of own jobs that are still in the files and keep their history.
    """

    changes: list[Change] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    staying: int = 0

    @property
    def going(self) -> list[str]:
        """Own jobs that would stop building or lose their history."""
        return [change.item for change in self.changes if change.action in ("replace", "disable", "delete")]

    @property
    def drastic(self) -> bool:
        """Return whether more jobs would go than stay, as with a truncated jobs file."""
        return len(self.going) > max(HANDFUL, self.staying)

    def phases(self) -> Iterator[list[Change]]:
        for actions in PHASES:
            yield [change for change in self.changes if change.action in actions]


def make(
    jobs: Iterable[Job], state: State, sets: Collection[str], *, prune: bool = False, adopt: bool = False
) -> SeedPlan:
    """Return the changes that bring Jenkins in line with ``jobs``. ``sets`` are the names of the jobs files.

    ``prune`` removes items that are no longer in the files instead of disabling them; ``adopt`` takes over jobs of the same name.
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
    """The facts while a plan is made."""

    def __init__(
        self, wanted: Mapping[str, Job], state: State, sets: Collection[str], prune: bool, adopt: bool
    ) -> None:
        self.wanted, self.state, self.sets, self.prune, self.adopt = wanted, state, sets, prune, adopt
        self.plan = SeedPlan()
        self.markers = {name: marker for name, item in state.items.items() if (marker := item.marker)}
        self.ours = {
            name: marker
            for name, marker in self.markers.items()
            if marker.set_name in sets and not state.items[name].folder
        }
        self.moved: dict[str, str] = {}
        self.held: dict[str, str] = {}
        self.heirs: dict[str, str] = {}
        self.folded = {name.casefold(): name for name in state.items}

    def folders(self) -> None:
        for path, job in self._folders().items():
            item = self.state.items.get(path)
            reason = self._other_case(path)
            if item is not None and not item.folder:
                reason = _("{path} is a job, not a folder", path=path)
            if reason:
                below = [name for name in self.wanted if name.startswith(path + "/")]
                self.plan.refused += [Refused(name, reason) for name in below if name not in self._refused()]
            elif item is None:
                self._change("create-folder", path, folder_xml(job.set_name))

    def jobs(self) -> None:
        self.moved, taken = find_moves(self.wanted, self.ours, self.state.items)
        self.plan.refused += [
            Refused(name, reason)
            for name in self.wanted
            if name not in self._refused() and (reason := self._other_case(name))
        ]
        self._hold_back(taken)
        for name, source in self.moved.items():
            self.plan.changes.append(Change("move", name, source=source, mark=self._mark(source)))
        refused = self._refused()
        for name, job in self.wanted.items():
            if name not in refused:
                self._job(name, job)

    def _hold_back(self, taken: Mapping[str, str]) -> None:
        """Keep jobs whose new name is refused, and refuse the names that they occupy, until no move depends on those."""
        moves = {**taken, **self.moved}
        reasons = {one.item: one.reason for one in self.plan.refused}
        reasons.update({new: why for new in taken if (why := self._not_ours(new, self.state.items[new]))})
        while True:
            self.held = {old: new for new, old in moves.items() if new in reasons}
            more = [name for name in self.wanted if name in self.held and name not in reasons]
            if not more:
                break
            for name in more:
                reasons[name] = _("{name} cannot move to {target}", name=name, target=self.held[name])
        for name, reason in reasons.items():
            if name in moves:
                reasons[name] = _("{reason}; {name} stays as it is", reason=reason, name=moves[name])
        self.plan.refused = [Refused(name, reason) for name, reason in reasons.items()]
        self.moved = {new: old for new, old in self.moved.items() if new not in reasons}
        self.heirs = {old: new for new, old in taken.items() if new not in reasons}

    def _refused(self) -> set[str]:
        return {one.item for one in self.plan.refused}

    def _other_case(self, name: str) -> str:
        """Return why ``name`` conflicts with a name that differs only in case, or "".

        Jenkins treats both as one at its top level. In a folder, it distinguishes them if its disk does; there, a job of
        ours may change the case of its own name.
        """
        has = self.folded.get(name.casefold(), name)
        own = "/" in name and self.moved.get(name) == has
        if own or has == name or name in self.state.items:
            return ""
        return _("Jenkins already has {name}, and ignores case in names", name=has)

    def _mark(self, name: str) -> str:
        return str(self.markers.get(name) or "")

    def _job(self, name: str, job: Job) -> None:
        source = self.moved.get(name, name)
        item = self.state.items.get(source)
        if item is None or (source == name and name in self.moved.values()):
            self._change("create", name, job_xml(job))
            return
        reason = self._not_ours(source, item)
        if reason:
            self.plan.refused.append(Refused(name, reason))
            return
        if item.reading.root != ROOTS[job.kind]:
            self._replace(source, name, job_xml(job))
            return
        diff = configxml.differences(item.reading.lines, configxml.says(job_tree(job)))
        if diff:
            self._change("update", name, job_xml(job), tuple(diff), self._mark(source))
        elif source == name:
            self.plan.unchanged.append(name)

    def _not_ours(self, name: str, item: Item) -> str:
        """Return why seed may not change the item, or ""."""
        if item.folder:
            return _("a folder has this name")
        marker = self.markers.get(name)
        if marker and marker.set_name in self.sets:
            return ""
        if self.adopt and item.config:
            return ""
        if marker:
            return _("jobs file {name} created it; --adopt takes it over", name=marker.set_name)
        return _("seed did not create it; --adopt takes it over")

    def _replace(self, source: str, name: str, config: str) -> None:
        if self.prune:
            self._change("replace", name, config, mark=self._mark(source))
        else:
            self.plan.refused.append(
                Refused(name, _("its kind changes, which would delete its history; --prune allows that"))
            )

    def views(self) -> None:
        for path, job in self._folders().items():
            has = Item(path, self.state.views.get(path, ""))
            if self._other_case(path) or (path in self.state.items and not self.state.items[path].folder):
                continue
            if not has.config:
                self._change("create-view", path, view_xml(job.set_name, path))
            elif has.marker:  # a folder of several jobs files has the view of the first one
                wants = view_xml(has.marker.set_name, path)
                diff = configxml.differences(has.reading.lines, configxml.canonical(wants))
                if diff:
                    self._change("update-view", path, wants, tuple(diff), str(has.marker))

    def rest(self) -> None:
        """Plan for items that are no longer in the files: disable them or, with ``prune``, remove them and folders left empty."""
        gone = set(self.ours) - set(self.wanted) - set(self.moved.values()) - set(self.held)
        for name in sorted(gone):
            if self.prune or "disabled: true" not in self.state.items[name].reading.lines:
                action, heir = "delete" if self.prune else "disable", self.heirs.get(name, "")
                self.plan.changes.append(Change(action, name, heir=heir, mark=self._mark(name)))
        self.plan.staying = len(self.ours) - len(gone) - sum(one.action == "replace" for one in self.plan.changes)
        if self.prune:
            self._empty_folders(gone | set(self.moved.values()))

    def _empty_folders(self, gone: set[str]) -> None:
        left = (set(self.state.items) - gone) | set(self.wanted)
        for name in sorted(left, key=lambda name: -name.count("/")):
            item, marker = self.state.items.get(name), self.markers.get(name)
            ours = item is not None and item.folder and marker is not None and marker.set_name in self.sets
            if ours and not any(other.startswith(name + "/") for other in left):
                left.discard(name)
                view = mark_of(self.state.views.get(name, ""))
                if view:
                    self._change("delete-view", name, mark=view)
                self._change("delete-folder", name, mark=self._mark(name))

    def _folders(self) -> dict[str, Job]:
        """Return every required folder, outer before inner, each with a job that needs it."""
        found: dict[str, Job] = {}
        for job in self.wanted.values():
            for folder in job.folders:
                found.setdefault(folder, job)
        return dict(sorted(found.items(), key=lambda pair: (pair[0].count("/"), pair[0])))

    def _change(self, action: str, item: str, config: str = "", diff: tuple[str, ...] = (), mark: str = "") -> None:
        self.plan.changes.append(Change(action, item, config, diff=diff, mark=mark))
