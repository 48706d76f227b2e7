"""What runs on servers, from the lines that ``remote/programs/fleet.sh`` prints; what is wrong with it; in which order it is shown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from container_pipeline.i18n import _
from container_pipeline.model import moment
from container_pipeline.outside import short
from container_pipeline.plan.deploy import Holding, difference, holder, read_record, service_state

#: Days of deploys that are reported.
DAYS = 14
#: Bounds for one server: projects, folders that are none, and lines of one kind for one project.
MOST_PROJECTS, MOST_LINES = 5000, 1000
#: A container that Docker has restarted this often, the last time less than so many seconds ago, is in a loop.
LOOP, LATELY = 3, 600


@dataclass(frozen=True)
class Attempt:
    """A deploy or rollback: ``outcome`` is "ok", or begins with ok, failed or overridden; ``by`` is a person or a build's URL."""

    when: str
    by: str
    action: str
    version: str
    outcome: str


@dataclass(frozen=True)
class Instance:
    """A container, or a service of a stack; ``health`` is "-" without a HEALTHCHECK."""

    service: str
    state: str
    health: str = "-"
    started: str = ""
    restarts: int = 0
    exit_code: int = 0


@dataclass(frozen=True)
class Trouble:
    """One thing that is wrong: ``kind`` is a word, ``subject`` a service or a file, ``message`` a sentence for people."""

    kind: str
    subject: str
    message: str


@dataclass(frozen=True)
class Deployment:
    """One code on one server.

    ``status`` is problem, unknown, busy (a run changes it), held, foreign (it runs, but we did not deploy it), none (nothing was
    deployed and nothing runs) or ok.
    """

    server: str
    root: str
    code: str
    environment: str = ""
    status: str = "ok"
    version: str = ""
    digest: str = ""
    #: When and by whom this version was deployed, from which build (a URL) and who approved it; each may be "".
    since: str = ""
    by: str = ""
    build: str = ""
    approved_by: str = ""
    restarts: int = 0
    containers: tuple[Instance, ...] = ()
    problems: tuple[Trouble, ...] = ()
    #: Edited files of the release, by name.
    edited: tuple[str, ...] = ()
    hold: Holding | None = None
    #: Content of the lock of a run that changes it now, "" without one.
    lock: str = ""
    #: Versions of the releases that are kept, the current one among them.
    releases: tuple[str, ...] = ()
    #: Deploys and rollbacks of the last ``DAYS`` days, oldest first.
    deploys: tuple[Attempt, ...] = ()
    #: Size of its images in bytes, layers that several have counted for each; None unless it was asked for.
    disk: int | None = None

    @property
    def folder(self) -> str:
        return f"{self.root.rstrip('/')}/{self.code}"

    def as_dict(self) -> dict[str, Any]:
        """Return its keys in the JSON result."""
        found = {**vars(self), "hold": dict(vars(self.hold)) if self.hold else {}}
        for name in ("containers", "problems", "deploys"):
            found[name] = [dict(vars(one)) for one in found[name]]
        if self.disk is None:
            del found["disk"]
        return found


@dataclass
class Inventory:
    """What one server reports. ``others``: folders that are no projects. ``absent``, ``unreadable``: folders of projects.

    ``cut``: there are more projects than are read.
    """

    deployments: list[Deployment] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    cut: bool = False


#: Order in which deployments are shown: what somebody must look at comes first.
_ORDER = ("problem", "unknown", "busy", "held", "foreign", "none", "ok")


def ordered(deployments: Iterable[Deployment]) -> list[Deployment]:
    """Return the deployments, those with problems first, then by code, environment and server."""
    return sorted(deployments, key=lambda one: (_ORDER.index(one.status), one.code, one.environment, one.server))


def ago(time: timedelta) -> str:
    """Return the moment so long ago, as servers write it."""
    return (datetime.now(timezone.utc) - time).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class _Project:
    """The lines about one project, by kind."""

    root: str
    name: str
    lines: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, text: str) -> None:
        found = self.lines.setdefault(kind, [])
        if len(found) < MOST_LINES:
            found.append(text)

    def all(self, kind: str) -> list[str]:
        return self.lines.get(kind, [])

    def one(self, kind: str) -> str:
        found = self.all(kind)
        return found[0] if found else ""


#: Kinds of lines about a project. Any other is ignored, so that a newer server program may send more.
_KINDS = (
    "current",
    "release",
    "kept",
    "since",
    "attempt",
    "hold",
    "lock",
    "broken",
    "unfinished",
    "unreadable",
    "differs",
)


#: Lines about the whole server, and how many fields each has.
_MACHINE = {"container": 10, "image": 2, "size": 3, "replicas": 3, "service": 5}


def read(server: str, lines: Sequence[tuple[str, str]], now: str, *, asked: bool, disk: bool = False) -> Inventory:
    """Return what a server's lines say. ``now`` is its clock; ``asked``: whether Docker has responded there."""
    inventory = Inventory()
    projects: list[_Project] = []
    machine: dict[str, list[list[str]]] = {kind: [] for kind in _MACHINE}
    root = ""
    inside = False
    for kind, text in lines:
        if kind in _MACHINE:
            parts = text.split("|", _MACHINE[kind] - 1)
            machine[kind] += [parts] if len(parts) == _MACHINE[kind] else []
        elif kind == "root":
            root, inside = short(text, 1000), False
        elif kind == "project":
            inside = len(projects) < MOST_PROJECTS
            inventory.cut = not inside
            projects += [_Project(root, short(text, 128))] if inside else []
        elif inside and kind in _KINDS:
            projects[-1].add(kind, text)
        elif kind in ("absent", "unreadable"):
            (inventory.absent if kind == "absent" else inventory.unreadable).append(root)
        elif kind == "other" and len(inventory.others) < MOST_LINES:
            inventory.others.append(short(f"{root.rstrip('/')}/{text}"))
    engine = _Engine(machine, now)
    several = len({project.name for project in projects}) < len(projects)
    for project in projects:
        inventory.deployments.append(_deployment(server, project, engine, asked=asked, several=several, disk=disk))
    return inventory


class _Engine:
    """What Docker on one server reports, and its clock."""

    def __init__(self, machine: Mapping[str, list[list[str]]], now: str) -> None:
        self.now = moment(now)
        # Docker's word for a label that is not there.
        self.containers = [["" if part == "<no value>" else part for part in entry] for entry in machine["container"]]
        replicas = {name: count for _id, count, name in machine["replicas"]}
        self.services = [(*entry, replicas.get(entry[-1], "-")) for entry in machine["service"]]
        #: Image id → its names by digest; and its size and its names without tag.
        self.digests: dict[str, set[str]] = {}
        self.sizes: dict[str, int] = {}
        self.names: dict[str, set[str]] = {}
        for id_, digests in machine["image"]:
            self.digests.setdefault(id_, set()).update(digests.split())
        for id_, size, repository in machine["size"]:
            self.names.setdefault(id_, set()).add(repository)
            self.sizes[id_] = _bytes(size)

    def lately(self, started: str) -> bool:
        begun = moment(started)
        return bool(begun and self.now and (self.now - begun).total_seconds() < LATELY)


def _bytes(text: str) -> int:
    """Return a size as Docker prints it, such as 126MB, in bytes (go-units: 1 kB is 1,000 bytes)."""
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)(B|kB|MB|GB|TB)", text)
    return round(float(found[1]) * 1000 ** ("B", "kB", "MB", "GB", "TB").index(found[2])) if found else 0


def _deployment(
    server: str, project: _Project, engine: _Engine, *, asked: bool, several: bool, disk: bool
) -> Deployment:
    record = read_record(project.one("release"))
    current = short(project.one("current"), 128)
    folder = f"{project.root.rstrip('/')}/{project.name}"
    entries = _containers(record, current, project, folder, engine, several=several)
    stacked = [entry for entry in engine.services if entry[3] == project.name]
    instances = [_instance(entry) for entry in entries] + [_of_stack(entry, project.name) for entry in stacked]
    lock = short(project.one("lock"))
    held = Holding.parse(short(project.one("hold")))
    edited = () if lock else tuple(short(text) for text in project.all("differs"))
    problems = _of_files(project, record, current, edited, busy=bool(lock))
    known = asked and not project.all("unreadable")
    if known and not lock:
        problems += _of_containers(project, record, current, instances, entries, engine)
        problems += _of_services(project, record, stacked)
    status = "problem" if problems else "unknown" if not known else "busy" if lock else "held" if held else "ok"
    if status == "ok" and (not current or current.startswith("found-")):
        status = "foreign" if instances else "none"
    texts = {
        name: short(record.get(name, ""), 1000) for name in ("digest", "by", "build", "approved_by", "environment")
    }
    return Deployment(
        server=server,
        root=project.root,
        code=project.name,
        status=status,
        version=current,
        since=short(project.one("since") or record.get("when", ""), 40),
        restarts=sum(one.restarts for one in instances),
        containers=tuple(instances),
        problems=tuple(problems),
        edited=edited,
        hold=held,
        lock=lock,
        releases=tuple(short(text, 128) for text in project.all("kept")),
        deploys=tuple(_attempts(project.all("attempt"))),
        disk=_disk(record, entries, engine) if disk and asked else None,
        **texts,
    )


def _containers(
    record: Mapping[str, Any], current: str, project: _Project, folder: str, engine: _Engine, *, several: bool
) -> list[list[str]]:
    """Return the containers of a project: those of its Compose project, or those started from its folder."""
    name = record.get("project") if isinstance(record.get("project"), str) else ""
    if current and not current.startswith("found-"):
        wanted = name or project.name
        return [one for one in engine.containers if one[8] == wanted and (not several or one[9] in ("", folder))]
    return [one for one in engine.containers if one[9] == folder or (name and one[8] == name)]


def _instance(entry: Sequence[str]) -> Instance:
    state, code, restarts, health, _policy, started, _image, service = entry[:8]
    return Instance(
        short(service, 128), short(state, 40), short(health, 40), short(started, 40), _int(restarts), _int(code)
    )


def _of_stack(entry: Sequence[str], code: str) -> Instance:
    _state, updated, _image, _namespace, name, replicas = entry
    return Instance(short(name.removeprefix(f"{code}_"), 128), short(replicas, 40), started=short(updated, 40))


def _int(text: str) -> int:
    return int(text) if re.fullmatch("-?[0-9]{1,9}", text) else 0


def _of_files(
    project: _Project, record: Mapping[str, Any], current: str, edited: Sequence[str], *, busy: bool
) -> list[Trouble]:
    """Return what is wrong with the files of a project; what a run leaves for a moment is not."""
    kinds = [kind for kind in ("unreadable", "broken", "unfinished") if project.all(kind)]
    if busy:
        kinds = [kind for kind in kinds if kind == "unreadable"]
    if current and not record and "unreadable" not in kinds and not busy:
        kinds.append("record")
    return [_trouble(kind) for kind in kinds] + [_trouble("edited", name) for name in edited]


def _of_containers(
    project: _Project,
    record: Mapping[str, Any],
    current: str,
    instances: Sequence[Instance],
    entries: Sequence[Sequence[str]],
    engine: _Engine,
) -> list[Trouble]:
    services = record.get("services")
    wanted = services.split() if isinstance(services, str) else [project.name] if current else []
    stacked = any(entry[3] == project.name for entry in engine.services)
    if not instances:
        return [_trouble("down")] if wanted and not stacked else []
    problems = []
    for entry, one in zip(entries, instances):
        problems += _of_container(entry, one, engine)
        digest = record.get("digest")
        if one.service == project.name and digest:
            names = engine.digests.get(entry[6], set())
            if f"{record.get('image', '')}@{digest}" not in names:
                problems.append(_trouble("image", one.service))
    there = {one.service for one in instances}
    return problems + [_trouble("missing", short(name, 128)) for name in wanted if name not in there]


def _of_container(entry: Sequence[str], one: Instance, engine: _Engine) -> list[Trouble]:
    policy, looping = entry[4], one.restarts >= LOOP and engine.lately(one.started)
    if one.state == "restarting" or (looping and one.state in ("running", "exited")):
        # Docker shows the exit code 0 between two crashes.
        return [_trouble("restarting", one.service, "-" if one.state == "running" else str(one.exit_code))]
    if one.state == "running":
        return [_trouble("unhealthy", one.service)] if one.health == "unhealthy" else []
    if one.state == "exited":
        done = one.exit_code == 0 and (policy in ("", "no") or policy.startswith("on-failure"))
        return [] if done else [_trouble("exited", one.service, str(one.exit_code))]
    return [_trouble("state", one.service, one.state)]


def _of_services(project: _Project, record: Mapping[str, Any], stacked: Sequence[Sequence[str]]) -> list[Trouble]:
    problems = []
    for state, _updated, image, _namespace, name, replicas in stacked:
        service = short(name.removeprefix(f"{project.name}_"), 128)
        running, _slash, wanted = replicas.partition("/")
        if running != wanted.partition(" ")[0]:
            problems.append(_trouble("replicas", service, short(replicas, 40)))
        if state in ("paused", "rollback_paused", "rollback_completed"):
            problems.append(_trouble("stopped update", service))
        digest = record.get("digest")
        if service == project.name and digest and not image.endswith(f"@{digest}"):
            problems.append(_trouble("image", service))
    return problems


def _disk(record: Mapping[str, Any], entries: Sequence[Sequence[str]], engine: _Engine) -> int:
    """Return the size of all versions of its image that the server has, and of the images that its containers run."""
    own = record.get("image") or "-"
    ids = {entry[6] for entry in entries} | {id_ for id_, names in engine.names.items() if own in names}
    return sum(engine.sizes.get(id_, 0) for id_ in ids)


def _attempts(lines: Sequence[str]) -> list[Attempt]:
    found = [Attempt(*(short(part) for part in line.split("|", 4))) for line in lines if line.count("|") >= 4]
    return [one for one in found if one.action in ("deploy", "rollback", "up")]


def _trouble(kind: str, subject: str = "", detail: str = "") -> Trouble:
    """Return a problem with its sentence."""
    sentences = {
        "unreadable": _("this user may not read its folder"),
        "image": difference("image"),
        "down": difference("down"),
        "record": difference("record"),
        "unfinished": difference("unfinished"),
        "broken": difference("broken"),
        "edited": _("{file} was edited", file=subject),
        "state": _("{service} is {value}", service=subject, value=detail),
    }
    word = "paused" if kind == "stopped update" else kind
    return Trouble(kind, subject, sentences.get(kind) or service_state(word, subject, detail))


def remarks(one: Deployment) -> list[str]:
    """Return a sentence for each thing that a reader should know about a deployment."""
    found = [problem.message for problem in one.problems]
    if one.lock:
        found.append(_("a run is changing it: {holder}", holder=holder(one.lock)))
    if one.hold:
        found.append(one.hold.told())
    if one.status == "foreign":
        found.append(difference("found"))
    return found
