"""Which releases a rollback can choose."""

from __future__ import annotations

import json

import pytest

from container_pipeline.commands.server.history import choices
from container_pipeline.errors import ServerError
from container_pipeline.model import Target, local_time
from container_pipeline.remote.fleet import Answer


def server(current: str, *kept: str, **fields: str) -> Answer:
    """The response of a server that runs ``current`` and keeps ``kept``, newest first."""
    record = json.dumps({"when": "2026-11-24T09:30:15+08:00", "by": "ann@desk", **fields})
    return Answer(Target("web"), facts={"version": current}, lines=[("kept", f"{one} {record}") for one in kept])


DOWN = Answer(Target("down"), error=ServerError("no connection"))


@pytest.mark.parametrize(
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


def test_a_choice_shows_date_and_author_bounded():
    (one,) = choices([server("2", "1", build="https://jenkins.example/job/a/1/", approved_by="ops")])
    assert one["when"] == local_time("2026-11-24T01:30:15Z")
    assert one["by"] == "https://jenkins.example/job/a/1/, approved by ops"
    (one,) = choices([server("2", "1", by="\033[31m" + "x" * 1_000_000)])
    assert one["by"] == "x" * 200
