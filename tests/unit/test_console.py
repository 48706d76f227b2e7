"""Output for people, and redaction."""

from __future__ import annotations

import base64
import io
import sys
from urllib.parse import quote

from container_pipeline import console as module
from container_pipeline.console import Console, format_table, human_size
from container_pipeline.model import Secret


def test_redaction_covers_raw_base64_and_url_encoded_secrets():
    stream, out = io.StringIO(), io.StringIO()
    console = Console(stream, out)
    console.redact.add([Secret("p@ss/word")])
    for text in ("p@ss/word", base64.b64encode(b"p@ss/word").decode(), quote("p@ss/word", safe="")):
        console.line(f"<{text}>")
        console.result(text)
        console.error(text)
    shown = stream.getvalue() + out.getvalue()
    assert "***" in shown
    assert not any(text in shown for text in ("p@ss", base64.b64encode(b"p@ss/w").decode()[:8], "p%40ss"))


def test_quiet_keeps_errors_and_results():
    stream, out = io.StringIO(), io.StringIO()
    console = Console(stream, out, verbosity=-1)
    console.line("line")
    console.error("error")
    console.result("result")
    assert (stream.getvalue(), out.getvalue()) == ("error\n", "result\n")


def test_progress_logs_rate_and_eta_every_ten_seconds(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    with Console(stream).task("promote", total=4_000_000) as task:
        for _second in range(20):
            now[0] += 1
            task.advance(100_000)
    assert stream.getvalue().splitlines() == [
        "promote: 1.0 MB, 100.0 kB/s, 3.0 MB left, about 30 s",
        "promote: 2.0 MB, 100.0 kB/s, 2.0 MB left, about 20 s",
    ]


def test_a_terminal_without_rich_shows_log_lines(monkeypatch):
    """The agent that the Jenkins library carries has no rich."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.setitem(sys.modules, "rich", None)
    console = Console(Terminal())
    assert console.interactive
    with console.task("seeding", 4, "jobs") as task:
        now[0] += 11
        task.advance(3)
    assert console.stream.getvalue() == "seeding: 3/4 jobs\n"


def test_short_tasks_log_nothing():
    stream = io.StringIO()
    with Console(stream).task("short", total=10) as task:
        task.advance(10)
    assert stream.getvalue() == ""


def test_a_table_lines_up_with_wide_characters():
    assert format_table(["server", "state"], [["北京一", "healthy"], ["web-1", "down"]]).splitlines() == [
        "server  state",
        "北京一  healthy",
        "web-1   down",
    ]


def test_sizes_read_as_people_say_them():
    assert [human_size(n) for n in (0, 999, 1000, 129_000_000, 2_500_000_000)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "129.0 MB",
        "2.5 GB",
    ]
