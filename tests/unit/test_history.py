"""Which releases a rollback can choose."""

from __future__ import annotations

import json

from container_pipeline.commands.server.history import _rows, choices
from container_pipeline.errors import ServerError
from container_pipeline.model import Target, local_time
from container_pipeline.remote.fleet import Answer
from unit.table import table


def server(current: str, *kept: str, **fields: str) -> Answer:
    """The response of a server that runs ``current`` and keeps ``kept``, newest first."""
    record = json.dumps({"when": "2026-11-24T09:30:15+08:00", "by": "ann@desk", **fields})
    return Answer(Target("web"), facts={"version": current}, lines=[("kept", f"{one} {record}") for one in kept])


DOWN = Answer(Target("down"), error=ServerError("no connection"))


@table(
    ("servers", "versions"),
    [
        ([server("3", "3", "2", "1")], ["2", "1"]),
        ([server("3", "3", "2", "1"), server("3", "3", "1", "0")], ["1"]),
        ([server("3", "3", "2"), server("2", "3", "2")], ["3", "2"]),
        ([server("3", "3", "2"), DOWN], ["2"]),
        ([server("3", "3")], []),
        ([DOWN], []),
    ],
)
def test_a_choice_can_run_on_every_server(servers: list[Answer], versions: list[str]):
    assert [one["version"] for one in choices(servers)] == versions


def attempt(action: str, outcome: str) -> str:
    """The last cell of the line that ``history`` shows for an attempt."""
    line = f"2026-11-24T09:30:15Z|ann@desk|{action}|2|{outcome}"
    rows = _rows(Answer(Target("web"), facts={"version": "2"}, lines=[("attempt", line)]))
    return rows[0][-1] if rows else ""


def test_history_shows_rollbacks_and_both_failures():
    assert attempt("rollback", "ok") == "rollback"
    assert attempt("deploy", "ok") == ""
    assert attempt("rollback", "failed a unhealthy") == "rollback failed: a is unhealthy"
    assert attempt("deploy", "failed a unhealthy|docker") == (
        "failed: a is unhealthy; what ran before could not be restored: Docker does not respond"
    )
    assert attempt("deploy", "failed connection") == "failed: the run was terminated, or its connection was lost"
    assert len(attempt("deploy", f"failed start {'x' * 900}|start {'y' * 900}")) < 320
    assert attempt("deploy", "") == ""


def test_a_choice_shows_date_and_author_bounded():
    (one,) = choices([server("2", "1", build="https://jenkins.example/job/a/1/", approved_by="ops")])
    assert one["when"] == local_time("2026-11-24T01:30:15Z")
    assert one["by"] == "https://jenkins.example/job/a/1/, approved by ops"
    (one,) = choices([server("2", "1", by="\033[31m" + "x" * 1_000_000)])
    assert len(one["by"]) <= 200
    assert set(one["by"]) == set("x …")
