"""One program on one server: how it is fed, and how it is stopped. No server: the command is a shell of this machine."""

from __future__ import annotations

import selectors
from pathlib import Path

import pytest

from container_pipeline.clients.ssh import Access, Session
from container_pipeline.commands import servers
from container_pipeline.console import Console
from container_pipeline.execute import Run
from container_pipeline.model import Target
from container_pipeline.result import Result
from container_pipeline.settings import load

TARGET = Target("web-1")


def session(script: str) -> Session:
    made = Session(TARGET, Access())
    made._command = ["sh", "-c", script]
    return made


def test_a_large_payload_arrives_whole_and_only_the_pipe_is_waited_for(monkeypatch: pytest.MonkeyPatch):
    idle = 0

    class Watched(selectors.DefaultSelector):
        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            nonlocal idle
            found = super().select(timeout)
            idle += not found
            return found

    monkeypatch.setattr(selectors, "DefaultSelector", Watched)
    size, heard = 16 * 2**20, list[str]()
    ending = session(f"IFS= read -r line; echo $line; head -c {size} | wc -c; echo '::end ok'").run(
        "say", b"x" * size, heard.append
    )
    assert (heard, ending.said) == (["say", str(size)], "ok")
    # It is 256 times the room of a pipe.
    assert idle < 50


def test_a_program_that_reads_no_more_and_ends_is_no_fault_of_its_payload():
    ending = session("echo '::end refused disk'").run("", b"x" * 2**20, print)
    assert ending.said == "refused disk"


def test_a_server_whose_turn_comes_while_a_signal_arrives_is_not_begun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    begun = []

    class Late(Session):
        def __init__(self, target: Target, access: Access) -> None:
            super().__init__(target, access)
            # Here a signal comes: what runs is stopped, what comes after it must not begin.
            fleet._stopping.set()

        def run(self, *_given):
            begun.append(self.target)
            raise AssertionError

    monkeypatch.setattr(servers, "Session", Late)
    fleet = servers.Fleet(Run(load(tmp_path, {"code": "a-b"}, "", {}), Console(), Result("deploy")))
    fleet.one(TARGET, servers.Task((), {}))
    assert begun == []
