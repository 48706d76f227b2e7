"""The lines of a server become deployments: what is wrong, what is only told, and nothing that could harm a reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from container_pipeline.__main__ import main
from container_pipeline.plan import fleet
from container_pipeline.plan.fleet import Deployment, read
from unit.table import table

NOW = "2026-11-27T12:00:00Z"
DIGEST = "sha256:" + "a" * 64
ID = "sha256:" + "1" * 64
IMAGE = f"{ID}|r.example/web@{DIGEST} "
SIZE = f"{ID}|126MB|r.example/web"
Line = tuple[str, str]


def container(service: str = "web", state: str = "running", **more: object) -> Line:
    fields: dict[str, object] = {"exit": 0, "restarts": 0, "health": "-", "policy": "always"}
    fields |= {"started": "2026-11-26T12:00:00Z", "project": "web", "folder": "/docker/compose/web", **more}
    first = "|".join(str(fields[name]) for name in ("exit", "restarts", "health", "policy", "started"))
    return "container", f"{state}|{first}|{ID}|{service}|{fields['project']}|{fields['folder']}"


def record(**more: object) -> Line:
    found = {"version": "7", "digest": DIGEST, "image": "r.example/web", "services": "web", "project": "web", **more}
    return "release", json.dumps(found)


def web(*lines: Line, release: Line | None = None) -> list[Line]:
    """The lines about a project that is well, and then these."""
    about = [("current", "7"), ("kept", "7"), release or record()]
    inside = [line for line in lines if line[0] not in fleet._MACHINE]
    outside = [line for line in lines if line not in inside]
    return [
        ("root", "/docker/compose"),
        ("project", "web"),
        *about,
        *inside,
        *outside,
        ("image", IMAGE),
        ("size", SIZE),
    ]


def one(lines: list[Line], **more: Any) -> Deployment:
    (found,) = read("web-1", lines, NOW, **{"asked": True, **more}).deployments
    return found


def kinds(found: Deployment) -> list[tuple[str, str]]:
    return [(problem.kind, problem.subject) for problem in found.problems]


def test_a_project_that_is_well_has_no_problem():
    found = one(web(container(), ("since", "2026-11-25T08:00:00Z")), disk=True)
    assert (found.status, found.problems, found.version) == ("ok", (), "7")
    assert (found.since, found.releases, found.disk) == ("2026-11-25T08:00:00Z", ("7",), 126_000_000)


@table(
    ("line", "expected"),
    [
        (container(health="unhealthy"), ("unhealthy", "web")),
        (container(state="restarting", exit=3), ("restarting", "web")),
        (container(restarts=3, started="2026-11-27T11:59:00Z"), ("restarting", "web")),
        (container(state="exited", exit=1), ("exited", "web")),
        (container(state="exited", exit=0), ("exited", "web")),
        (container(state="paused"), ("state", "web")),
        (container(state="created"), ("state", "web")),
    ],
)
def test_a_bad_container_is_a_problem(line: Line, expected: tuple[str, str]):
    assert kinds(one(web(line))) == [expected]


def test_no_exit_code_is_told_between_crashes():
    between = container(restarts=3, started="2026-11-27T11:59:00Z")
    told = [one(web(line)).problems[0].message for line in (container(state="restarting", exit=3), between)]
    assert told == ["web keeps restarting (exit code 3)", "web keeps restarting"]


@table(
    "line",
    [
        container(restarts=40, started="2026-11-26T12:00:00Z"),
        container(restarts=2, started="2026-11-27T11:59:59Z"),
        container(health="starting"),
        container(state="exited", exit=0, policy="no"),
        container(state="exited", exit=0, policy="on-failure"),
    ],
)
def test_a_container_that_may_be_so_is_none(line: Line):
    assert one(web(line)).status == "ok"


@table(
    ("lines", "release", "expected"),
    [
        ([], None, [("down", "")]),
        ([container()], record(services="web db"), [("missing", "db")]),
        ([container()], record(digest="sha256:" + "b" * 64), [("image", "web")]),
        ([container()], ("release", "{"), [("record", "")]),
        ([container(), ("differs", ".env")], None, [("edited", ".env")]),
        ([container(), ("unfinished", "")], None, [("unfinished", "")]),
        ([container(), ("broken", "broken web unhealthy|start x")], None, [("broken", "")]),
        ([container(), ("unreadable", "")], None, [("unreadable", "")]),
    ],
)
def test_a_difference_from_the_release_is_a_problem(lines: list[Line], release: Line | None, expected: object):
    found = one(web(*lines, release=release))
    assert (found.status, kinds(found)) == ("problem", expected)
    assert all(problem.message for problem in found.problems)


def test_what_a_run_changes_is_no_problem():
    found = one(web(("lock", "bob|2026-11-27T11:59:00Z|8"), ("differs", ".env"), ("unfinished", "")))
    assert (found.status, found.problems, found.edited) == ("busy", (), ())


def test_a_hold_is_told_and_no_problem():
    found = one(web(container(), ("hold", "bob|2026-11-27T10:00:00Z|stock | count")))
    assert (found.status, found.problems) == ("held", ())
    assert found.as_dict()["hold"] == {"by": "bob", "since": "2026-11-27T10:00:00Z", "reason": "stock | count"}


def test_a_service_deployed_by_others_is_foreign():
    about = [("root", "/docker/compose"), ("project", "web")]
    assert one([*about, container()]).status == "foreign"
    assert one(about).status == "none"
    assert kinds(one([*about, container(health="unhealthy")])) == [("unhealthy", "web")]


def test_without_docker_the_state_is_unknown():
    found = one(web(), asked=False, disk=True)
    assert (found.status, found.version, found.problems, found.disk) == ("unknown", "7", (), None)


def test_one_code_in_two_folders_has_two_states():
    lines = web(container(), container(folder="/srv/web", health="unhealthy"))
    second = [("root", "/srv"), ("project", "web"), ("current", "7"), record()]
    first, other = read("web-1", [*lines, *second], NOW, asked=True).deployments
    assert (first.root, first.status, other.root, kinds(other)) == (
        "/docker/compose",
        "ok",
        "/srv",
        [("unhealthy", "web")],
    )


def test_a_stack_is_judged_by_its_services():
    running = ("service", f"completed|2026-11-27T09:00:00Z|r.example/web:7@{DIGEST}|web|web_web")
    well = one(web(("replicas", "x|2/2|web_web"), running))
    assert (well.status, [each.state for each in well.containers]) == ("ok", ["2/2"])
    half = ("service", "paused|2026-11-27T09:00:00Z|r.example/web:7@sha256:0|web|web_web")
    assert kinds(one(web(("replicas", "x|1/2|web_web"), half))) == [
        ("replicas", "web"), ("stopped update", "web"), ("image", "web")
    ]  # fmt: skip


def test_problems_come_first_then_codes():
    names = [("ok", "a"), ("problem", "z"), ("held", "b"), ("unknown", "c"), ("problem", "b")]
    found = fleet.ordered(Deployment("s", "/", code, status=status) for status, code in names)
    assert [(each.status, each.code) for each in found] == [
        ("problem", "b"), ("problem", "z"), ("unknown", "c"), ("held", "b"), ("ok", "a")
    ]  # fmt: skip


def test_deploys_are_read_oldest_first():
    log = [
        "2026-11-20T08:00:00Z|bob|deploy|6|failed web unhealthy",
        "2026-11-21T08:00:00Z|https://ci/7/|deploy|7|ok",
        "x|y",
    ]
    found = one(web(container(), *(("attempt", line) for line in log)))
    assert [(each.version, each.by, each.outcome) for each in found.deploys] == [
        ("6", "bob", "failed web unhealthy"), ("7", "https://ci/7/", "ok")
    ]  # fmt: skip


#: What a server must not bring to a terminal or a page, as any text of any kind of line.
HOSTILE = [
    "\x1b[2J\x1b]0;x\x07",
    "<script>alert(1)</script>",
    "x" * (1 << 20),
    "\ufffd\udcff",
    "a\u202eb",
    "",
    "|" * 5000,
]
_KINDS = [*fleet._KINDS, *fleet._MACHINE, "root", "project", "other", "absent", "never"]


@given(st.lists(st.tuples(st.sampled_from(_KINDS), st.sampled_from(HOSTILE) | st.text(max_size=40)), max_size=30))
def test_hostile_lines_stay_short_and_harmless(lines: list[Line]):
    found = read("web-1", [("root", "/docker/compose"), ("project", "web"), *lines], NOW, asked=True, disk=True)
    for text in _texts([*(each.as_dict() for each in found.deployments), found.others, found.absent, found.unreadable]):
        assert len(text) <= 1000
        assert not any(ord(char) < 32 or char in "\x7f\u202e\udcff" for char in text), text


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) else []


def test_more_projects_than_anybody_has_are_cut(monkeypatch):
    monkeypatch.setattr(fleet, "MOST_PROJECTS", 50)
    lines = [("root", "/x"), *(("project", f"a{number}") for number in range(fleet.MOST_PROJECTS + 5))]
    found = read("web-1", lines, NOW, asked=True)
    assert (len(found.deployments), found.cut) == (fleet.MOST_PROJECTS, True)


def test_a_bad_jobs_file_is_not_about_jenkins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.yml").write_text("projects: 3\n")
    assert main(["fleet", "jobs.yml"]) == 1
    told = capsys.readouterr().err
    assert "jobs.yml:1: projects" in told
    assert "Jenkins" not in told
