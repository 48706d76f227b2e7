"""On a terminal, init and down ask; elsewhere, init uses defaults and overwrites nothing."""

from __future__ import annotations

import os
import pty
import select
import shutil
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def talk(folder: Path, words: list[str], answers: list[tuple[str, str]]) -> tuple[int, str]:
    """Run the command in a terminal; after each expected text type the answer. Return exit code and all that was shown."""
    child, terminal = pty.fork()
    if child == 0:  # pragma: no cover - another process
        os.chdir(folder)
        environ = {**os.environ, "PYTHONPATH": str(ROOT / "agent"), "LC_ALL": "C", "TERM": "xterm", "NO_COLOR": "1"}
        os.execve(sys.executable, [sys.executable, "-m", "container_pipeline", *words], environ)
    shown, end = "", time.monotonic() + 60
    waiting = list(answers)
    while time.monotonic() < end:
        if waiting and waiting[0][0] in shown.rpartition("\x00")[2]:
            os.write(terminal, waiting.pop(0)[1].encode() + b"\n")
            shown += "\x00"
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                data = os.read(terminal, 65536)
            except OSError:
                break
            if not data:
                break
            shown += data.decode(errors="replace")
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert not waiting, f"never asked: {waiting[0][0]!r} in {shown}"
    return code, shown.replace("\x00", "").replace("\r\n", "\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "tests/real/shapes/flask-requirements", tmp_path / "Some Shop"))


def test_init_asks_for_unknown_values_and_offers_defaults(folder: Path):
    answers = [
        ("project code [some-shop]", "shop-web-re"),
        ("Python version [", "3.11"),
        ("port that the service listens on [8080]", "9000"),
        ("port on the servers [9000]", "80"),
    ]
    code, shown = talk(folder, ["init"], answers)
    assert code == 0, shown
    compose = (folder / "docker-compose.yml").read_text()
    assert "- 80:9000\n" in compose
    assert "container_name: shop-web-re" in compose
    assert "--bind=0.0.0.0:9000" in (folder / "Dockerfile").read_text()


def test_init_shows_diffs_and_replaces_only_confirmed_files(folder: Path):
    (folder / "Dockerfile").write_text("FROM python:3.8\n")
    (folder / ".dockerignore").write_text("*.md\n")
    answers = [("project code", ""), ("Python version", ""), ("listens on", ""), ("on the servers", "")]
    code, shown = talk(folder, ["init"], [*answers, ("replace Dockerfile?", "y"), ("replace .dockerignore?", "n")])
    assert code == 0, shown
    assert "-FROM python:3.8" in shown
    assert (folder / "Dockerfile").read_text().startswith("FROM python:3.")
    assert "ENTRYPOINT" in (folder / "Dockerfile").read_text()
    assert (folder / ".dockerignore").read_text() == "*.md\n"


def test_init_refuses_invalid_input_before_writing_files(folder: Path):
    code, shown = talk(folder, ["init"], [("project code", "My.Shop")])
    assert code == 1
    assert "'My.Shop' is not a project code" in shown
    assert not (folder / "Dockerfile").exists()


def test_declined_down_reports_that_nothing_was_changed(folder: Path):
    words = ["down", "--code", "shop-web-re", "--server", "nowhere.invalid"]
    code, shown = talk(folder, words, [("Stop shop-web-re on nowhere.invalid?", "n")])
    assert (code, "nothing was changed" in shown) == (1, True), shown
    code, shown = talk(folder, words, [("Stop shop-web-re on nowhere.invalid?", "\x03")])
    assert (code, "interrupted" in shown) == (130, True), shown
