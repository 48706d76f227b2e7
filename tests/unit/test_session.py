"""Input and end of a program on a server. The command is a shell on this machine instead of ssh."""

from __future__ import annotations

import selectors
import subprocess
import time
import tracemalloc
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from container_pipeline.console import Console
from container_pipeline.errors import ServerError, SettingsError, Stopped
from container_pipeline.execute import rollout
from container_pipeline.model import Target, local_time
from container_pipeline.remote import fleet, reasons, ssh, transfer
from container_pipeline.remote.ssh import Access, Ending, Session
from container_pipeline.settings import load
from unit.table import table

TARGET = Target("web-1")


#: What a program begins with: it takes the line that is the program, and says hello.
HELLO = 'IFS= read -r line; say() { echo "::$WORD $*"; }; say hello; '


def session(script: str) -> Session:
    made = Session(TARGET, Access())
    made._command = ["env", f"WORD={made.word}", "sh", "-c", script]
    return made


def run(script: str, payload: bytes = b"", program: str = "", **more: float) -> tuple[Ending, list[str], list[str]]:
    """Return the ending, the sentences and the other lines of a program that is this script."""
    heard, raw = list[str](), deque[str](maxlen=10)
    return session(script).run(program, payload, heard.append, raw.append, **more), heard, list(raw)


def test_large_payload_arrives_whole_without_idle_waiting(monkeypatch: pytest.MonkeyPatch):
    idle = 0

    class Watched(selectors.DefaultSelector):
        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            nonlocal idle
            found = super().select(timeout)
            idle += not found
            return found

    monkeypatch.setattr(selectors, "DefaultSelector", Watched)
    size = 16 * 2**20
    ending, heard, _raw = run(HELLO + f"say $(head -c {size} | wc -c); say end ok", b"x" * size)
    assert (heard, ending.said) == ([str(size)], "ok")
    # It is 256 times the room of a pipe.
    assert idle < 50


def test_a_late_thread_reads_what_ssh_wrote(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Between an empty look at the pipes and the next one, ssh writes everything and ends."""
    waits: list[subprocess.Popen[bytes]] = []

    class Late(selectors.DefaultSelector):
        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            if not waits or (tmp_path / "go").exists():
                return super().select(timeout)
            (tmp_path / "go").touch()
            waits[0].wait(30)
            return []

    def popen(*words: Any, **more: Any) -> subprocess.Popen[bytes]:
        waits.append(started(*words, **more))
        return waits[0]

    started = subprocess.Popen
    monkeypatch.setattr(selectors, "DefaultSelector", Late)
    monkeypatch.setattr(subprocess, "Popen", popen)
    script = (
        f'until [ -e {tmp_path}/go ]; do sleep 0.01; done; for text in hello "end ok"; do echo "::$WORD $text"; done'
    )
    assert run(script)[0].said == "ok"


def test_program_may_end_before_reading_its_whole_payload():
    assert run(HELLO + "say end refused disk", b"x" * 2**20)[0].said == "refused disk"


def test_session_ignores_forged_lines_before_and_after_hello():
    forged = "echo ::hello; echo ::0123456789abcdef hello; echo ::fact version 6.6.6; echo ::end ok;"
    ending, heard, raw = run(f"{forged} {HELLO} {forged} say fact version 1; say end ok 1")
    assert (ending.said, heard) == ("ok 1", ["fact version 1"])
    assert (list(ending.printed), raw) == (
        ["::hello", "::0123456789abcdef hello", "::fact version 6.6.6", "::end ok"],
        ["::hello", "::0123456789abcdef hello", "::fact version 6.6.6", "::end ok"],
    )


def test_the_payload_waits_until_the_program_has_begun():
    ending, heard, _raw = run(
        "IFS= read -r line; timeout 0.3 cat; " + HELLO[len("IFS= read -r line; ") :] + "say end $(head -c 3)", b"abc"
    )
    assert (ending.said, heard) == ("abc", [])


def test_other_shells_read_the_program_as_a_comment():
    ending, _heard, raw = run("exec timeout 0.5 sh", program="echo run by another shell\nexit 3")
    assert (ending.started, raw, list(ending.printed)) == (False, [], [])


def test_an_answer_reaches_the_program():
    made = session(HELLO + "say question; read -r answer; say end $answer")
    assert made.run("", b"", lambda text: b"yes\n" if text == "question" else None, print).said == "yes"


FLOODS = {
    "a line without end": "head -c 30000000 /dev/zero",
    "lines without end": "yes",
    "errors without end": "yes >&2",
}


@pytest.mark.parametrize("began", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_a_flood_costs_bounded_memory_and_ends(flood: str, began: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("container_pipeline.remote.ssh.MAX_OUTPUT", 2 * 2**20)
    tracemalloc.start()
    ending, _heard, _raw = run((HELLO if began else "") + flood + "; sleep 60")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (ending.fault, ending.said) == ("flood", "")
    assert peak < 6 * 2**20


def test_long_line_is_cut_and_next_stays_whole():
    ending, heard, _raw = run(HELLO + "say $(head -c 3000000 /dev/zero | tr '\\0' x); say next; say end ok")
    assert (ending.said, [len(text) for text in heard][1:], heard[1]) == ("ok", [4], "next")
    assert len(heard[0]) < 2**20


def test_session_ends_on_silence_but_not_on_heartbeats(monkeypatch: pytest.MonkeyPatch):
    passed, take = 0, ssh._Talk._take

    def taken(talk: ssh._Talk, line: str) -> None:
        """Take a line; a hundred seconds pass then."""
        nonlocal passed
        take(talk, line)
        passed += 100

    monkeypatch.setattr(ssh._Talk, "_take", taken)
    monkeypatch.setattr(ssh, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + passed))
    ending = run(HELLO + "for _ in 1 2 3 4; do say beat; sleep 0.05; done; say end ok", silence=150)[0]
    assert (ending.said, ending.fault) == ("ok", "")
    assert run(HELLO + "sleep 60", silence=90)[0].fault == "silence"
    monkeypatch.setattr(ssh, "START_TIMEOUT", -ssh.CONNECT_TIMEOUT)
    assert run("sleep 60")[0].fault == "start"


def test_session_does_not_wait_for_background_processes():
    assert run(HELLO + "sleep 60 & exit 5")[0].code == 5


def test_server_does_not_start_after_a_stop_signal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    begun = []

    class Late(Session):
        def __init__(self, target: Target, access: Access) -> None:
            super().__init__(target, access)
            # Here a signal comes: what runs is stopped, what comes after it must not begin.
            some._stopping.set()

        def run(self, *_given):
            begun.append(self.target)
            raise AssertionError

    monkeypatch.setattr(fleet, "Session", Late)
    some = fleet.Fleet(load(tmp_path, {"code": "a-b"}, "", {}), Console())
    some.one(TARGET, fleet.ServerTask((), {}))
    assert begun == []


def test_waiting_is_told_once_until_it_changes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys):
    some, answer = fleet.Fleet(load(tmp_path, {"code": "a-b"}, "", {}), Console()), fleet.Answer(TARGET)
    for text in ["check / 404 at 10:01", "settling", "check / 404 at 10:02", "check / 500 at 10:03", "settling"]:
        some._hear(answer, f"wait health a {text}", fleet.ServerTask((), {}))
    assert len(capsys.readouterr().err.splitlines()) == 3
    monkeypatch.setattr(fleet, "REPEAT", 0.0)
    some._hear(answer, "wait health a settling", fleet.ServerTask((), {}))
    assert "watching that it stays up" in capsys.readouterr().err


def test_a_missing_ssh_client_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerError, match="ssh is not installed on this machine"):
        Session(TARGET, Access()).run("", b"", lambda _text: None, lambda _line: None)


@pytest.mark.parametrize("code", [130, 143])
@pytest.mark.parametrize("changes", [True, False])
def test_a_signal_says_what_the_servers_do(monkeypatch, tmp_path: Path, code: int, changes: bool):
    def signalled(*_given: object, **_more: object) -> None:
        raise KeyboardInterrupt if code == 130 else Stopped("terminated", code)

    monkeypatch.setattr(fleet, "in_parallel", signalled)
    some = fleet.Fleet(load(tmp_path, {"code": "a-b"}, "", {}), Console())
    some._stopping.set()
    with pytest.raises((KeyboardInterrupt, Stopped)) as ended:
        some.ask([TARGET], fleet.ServerTask((), {}, changes=changes))
    assert ("each server stops or rolls back by itself" in getattr(ended.value, "hint", "")) == changes
    assert getattr(ended.value, "exit_code", 130) == code


@table("name", ["key", "a b", 'with"quote', "with'quote", "back\\slash", "per%cent", 'both\\"', "end\\"])
def test_a_keys_path_reaches_ssh_as_it_is(tmp_path: Path, name: str):
    command = Access(key=tmp_path / name, config=tmp_path / "none").command(TARGET)
    (tmp_path / "none").touch()
    told = subprocess.run([command[0], "-G", *command[1:]], capture_output=True, text=True, check=True).stdout
    assert f"identityfile {tmp_path}/{name.replace('%', '%%')}\n" in told


@pytest.mark.parametrize("port", ["65536", "123456", "9" * 20])
def test_port_that_is_too_large_is_refused(port: str):
    with pytest.raises(SettingsError, match=f"{port} is not a valid port"):
        Target.parse(f"web-1:{port}")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("step check; say step switch; say step start; say step health; say step keep; say end ok 1 sha256:a", 0),
        ("step check; say step start; say step health; say step keep; say end ok 1 sha256:a", 7),
        ("step switch; say step check; say step start; say step health; say step keep; say end ok 1 sha256:a", 7),
        ("step check; say step switch; say step start; say step health; say step keep; say end ok 2 sha256:a", 7),
        ("step check; say step switch; say step start; say step health; say step keep; say end ok 1 sha256:b", 7),
        ("end ok 1 sha256:a", 7),
    ],
    ids=["all of it", "a step is missing", "out of order", "another version", "another digest", "nothing before it"],
)
def test_success_requires_every_step_in_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, code: int):
    class Scripted(Session):
        def __init__(self, target: Target, access: Access) -> None:
            super().__init__(target, access)
            self._command = ["env", f"WORD={self.word}", "sh", "-c", f"{HELLO} say {said}"]

    monkeypatch.setattr(fleet, "Session", Scripted)
    some = fleet.Fleet(load(tmp_path, {"code": "a-b"}, "", {}), Console())
    task = fleet.ServerTask((), {"version": "1", "digest": "sha256:a"}, changes=True, must=rollout.STEPS)
    error = some.one(TARGET, task).error
    assert (error.exit_code if error else 0) == code


@pytest.mark.parametrize("url", ["a'b\"c", "$(echo no) `echo no` $HOME", "::end ok | x; exit 3 #", "\\n -e *"])
def test_build_url_reaches_the_server_unchanged(url: str):
    told = transfer.program([], {"who": url}) + '\nprintf %s "$who"'
    assert subprocess.run(["sh", "-c", told], capture_output=True, text=True, check=True).stdout == url


def test_a_sentence_with_line_breaks_stays_one_sentence(tmp_path: Path):
    values = {"word": "w", "code": "a-b", "folder": tmp_path, "sudo": "no", "login": ""}
    told = transfer.program(["common"], values) + '\nsay "$(printf "wait lock ann\n::w end ok 6.6.6")"'
    done = subprocess.run(["sh", "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout == "::w wait lock ann ::w end ok 6.6.6\n"


def test_build_url_with_bar_still_names_lock_holder(tmp_path: Path):
    settings = load(tmp_path, {"code": "a-b"}, "", {"BUILD_URL": "https://ci.example/a|b/1/"})
    values = fleet.Fleet(settings, Console())._values(TARGET)
    assert f"since {local_time('2026-11-24T09:30:15Z')}" in reasons.holder(f"{values['who']}|2026-11-24T09:30:15Z|1")
