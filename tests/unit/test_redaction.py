"""Output contains no escape sequences and no secrets, in any form in which they come back from outside."""

from __future__ import annotations

import base64
import html
import io
import json
import shlex
from urllib.parse import quote, quote_plus

import pytest

from container_pipeline import __main__ as main
from container_pipeline.console import Console
from container_pipeline.errors import PipelineError
from container_pipeline.model import Secret
from container_pipeline.outside import coloured, printable, short
from container_pipeline.result import Result
from unit.table import table

SECRET = 'Tr0ub4dor&3/"quote" <tag>+ü'
KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\nAASCBKcwggSjAgEAAoIBAQC7\n-----END KEY-----\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(text: str, *secrets: str) -> str:
    stream = io.StringIO()
    console = Console(stream)
    console.redact.add(map(Secret, secrets or (SECRET,)))
    console.line(text)
    return stream.getvalue()


@table(
    "text",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote(SECRET, safe="").lower().replace("tr0ub4dor", "Tr0ub4dor"),
        quote_plus(SECRET),
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        json.dumps(SECRET).replace("/", "\\/"),
        json.dumps(SECRET, ensure_ascii=False).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"),
        SECRET.encode().hex(),
        SECRET.encode().hex().upper(),
        repr(SECRET),
        html.escape(SECRET),
        shlex.quote(SECRET),
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(f"user:{SECRET}".encode()).decode(),
        base64.b64encode(f"admin:{SECRET}:x".encode()).decode(),
        base64.b64encode(f"me:{SECRET}".encode()).decode(),
        base64.encodebytes(f"{'user' * 20}:{SECRET}".encode()).decode(),
        SECRET[:7] + "\n" + SECRET[7:],
        SECRET[:7] + "\r\n    " + SECRET[7:],
        SECRET[:7] + "\x1b[0m" + SECRET[7:],
        "\x1b[31m" + SECRET[:9] + "\x1b[K" + SECRET[9:] + "\x07",
    ],
)
def test_a_secret_is_hidden_in_each_form(text: str):
    found = shown(f"before {text} after")
    assert "***" in found
    for form in (SECRET, "Tr0ub4dor", base64.b64encode(SECRET.encode()).decode()[3:12], SECRET.encode().hex()[4:12]):
        assert form.lower() not in "".join(found.split()).lower()


def test_each_line_of_a_multiline_secret_is_redacted():
    for line in KEY.splitlines():
        assert shown(f"> {line}", KEY) == "> ***\n"


@pytest.mark.parametrize("cut", [9, 14, 20])
def test_larger_part_of_a_split_secret_is_redacted(cut: int):
    stream = io.StringIO()
    console = Console(stream)
    console.redact.add([Secret("correct-horse-battery-staple")])
    console.line("said: " + "correct-horse-battery-staple"[:cut])
    console.line("correct-horse-battery-staple"[cut:] + " was refused")
    larger = max("correct-horse-battery-staple"[:cut], "correct-horse-battery-staple"[cut:], key=len)
    assert larger not in stream.getvalue()


def test_details_and_json_redact_a_split_secret(capsys: pytest.CaptureFixture[str]):
    lines = ["first", SECRET[:5], SECRET[5:], "last"]
    console = Console(io.StringIO())
    console.redact.add([Secret(SECRET)])
    main._tell(PipelineError("failed", details=lines), console)
    assert console.stream.getvalue() == "first\n***\nlast\ncontainer-pipeline: failed\n"
    main._print_json(Result("x", answers={"differences": lines}), console)
    assert json.loads(capsys.readouterr().out)["differences"] == ["first", "***", "last"]


def test_word_with_middle_of_secret_is_not_redacted():
    assert shown("create folder seeded/admins", "seeder", "admin1") == "create folder seeded/admins\n"


def test_ordinary_words_are_not_hidden():
    text = "registry.example refused user deployer; password must be set\nprod\nserver prod-1 has deployed"
    assert shown(text, "prod-password", "deployer-2026") == text + "\n"


EVIL = [
    "\x1b[2J\x1b[1;1H",
    "\x1b]0;title\x07",
    "\x1b]8;;http://evil\x1b\\",
    "\x1bPq#0\x1b\\",
    "\x1b]52;c;cm0gLXJm\x07",
    "\x9b2J",
    "\x9d0;t\x9c",
    "\x1bc",
    "\x1b",
    "\x07\x08\x7f",
    "\x85",
    "\u202e\u2066\u2028",
    "\ud800",
]


@table("evil", EVIL)
def test_output_contains_no_foreign_escape_sequences(evil: str, capsys: pytest.CaptureFixture[str]):
    stream, out = Terminal(), Terminal()
    console = Console(stream, out)
    for write in (console.line, console.error, console.warning, console.result):
        write(f"a{evil}b")
    console.table(["HEAD"], [[f"a{evil}b"]])
    console.log("web-1", 36, f"a{evil}b")
    main._tell(PipelineError(f"a{evil}b", f"c{evil}", details=[f"d{evil}"]), console)
    main._print_json(Result("x", answers={"findings": [{"text": f"a{evil}b", f"key{evil}": 1}]}), console)
    seen = stream.getvalue() + out.getvalue() + capsys.readouterr().out
    for ours in ("\x1b[31m", "\x1b[33m", "\x1b[36m", "\x1b[0m"):
        seen = seen.replace(ours, "")
    assert [char for char in seen if not char.isprintable() and char != "\n"] == []
    assert "a" in seen
    assert "b" in seen


def test_a_carriage_return_cannot_paint_over_a_line():
    assert shown("failed\rdone  \r\n") == "failed\N{REPLACEMENT CHARACTER}done  \n\n"


def test_logs_keep_only_colours_and_only_on_terminals(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    line = "\x1b[1;32mGET\x1b[0m /\x1b[2J \x1b[38;5;9mred"
    terminal = Console(Terminal(), Terminal())
    terminal.log("web-1 | ", 36, line)
    assert terminal.out.getvalue() == "\x1b[36mweb-1 | \x1b[0m\x1b[1;32mGET\x1b[0m / \x1b[38;5;9mred\x1b[0m\n"
    piped = Console(Terminal(), io.StringIO())
    piped.log("web-1 | ", 36, line)
    assert piped.out.getvalue() == "web-1 | GET / red\n"
    terminal.redact.add([Secret("hunter2-hunter2")])
    terminal.log("", 36, "hunter2-\x1b[0mhunter2")
    assert terminal.out.getvalue().splitlines()[-1] == "***"


def test_what_strangers_say_is_one_short_line():
    assert short("a\nb\t\x1b[31mc") == "a b c"
    assert len(short("x" * 10_000_000)) <= 300
    assert short("begin " + "x" * 1000 + " end").endswith(" end")
    error = PipelineError("m\n" * 5000, details=["d" * 100_000])
    assert len(error.message) <= 2000
    assert "\n" not in error.message
    assert len(error.details[0]) == 2000


def test_cleaning_takes_linear_time():
    for text in ("\x1b[" * 100_000, "\x1b]" * 100_000, "\x1b]" + "x" * 200_000, "\x1b[" + "0;" * 100_000):
        printable(text)
        coloured(text)
