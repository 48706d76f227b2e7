"""What documents print can be typed: blocks of sh run in a fresh clone on the lab, all other commands are well-formed.

A block that no test can run has a comment before it that says why: <!-- not run: … -->.
"""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
import yaml

from container_pipeline.cli import GROUPS
from container_pipeline.keys import BY_NAME
from container_pipeline.settings import load
from lab.handle import Lab

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
#: README.zh-CN.md and other translations have the same blocks: a test of documents holds them together.
DOCUMENTS = [path for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")) if ".zh-" not in path.name]
_BLOCK = re.compile(r"(?:<!-- not run: (?P<why>[^>]+) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.S | re.M)


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    skipped: bool


def blocks(path: Path) -> list[Block]:
    found = _BLOCK.finditer(path.read_text(encoding="utf-8"))
    return [Block(one["language"], one["text"], one["why"] is not None) for one in found]


TYPED = [path for path in DOCUMENTS if any(one.language == "sh" and not one.skipped for one in blocks(path))]


@pytest.fixture(scope="module")
def clone(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A fresh clone that finds what tests have installed, and the lab that runs."""
    folder = tmp_path_factory.mktemp("clone") / "container-pipeline"
    subprocess.run(["git", "clone", "-q", f"file://{ROOT}", str(folder)], check=True)
    venv = folder / ".venv"
    venv.mkdir()
    for path in Path(sys.prefix).iterdir():
        if path.name != "ready":
            (venv / path.name).symlink_to(path)
    (venv / "ready").touch()
    (folder / ".lab").symlink_to(lab.home)
    yield folder
    for server in lab.servers:
        server.remove("aglaia-web-re")


def environment(lab: Lab, clone: Path, *programs: str) -> dict[str, str]:
    """The environment of a user with the command and other ``programs`` installed, in the lab."""
    commands = clone.parent / "bin"
    if not commands.exists():
        commands.mkdir()
        script = commands / "container-pipeline"
        script.write_text(f'#!/bin/sh\nPYTHONPATH={clone}/agent exec {sys.executable} -m container_pipeline "$@"\n')
        script.chmod(0o755)
    known = lab.environment(LAB_DIR=str(lab.home), LC_ALL="C.UTF-8")
    # Avoid what takes a minute and is tested elsewhere: builds without a cache, waiting for services to settle, a second server.
    known |= {"CONTAINER_PIPELINE_CACHE": "true", "CONTAINER_PIPELINE_SETTLE": "1"}
    known["CONTAINER_PIPELINE_SERVERS"] = lab.servers[0].name
    # pip compiles nothing that is used once.
    known["PIP_NO_COMPILE"] = "1"
    return {**known, "PATH": ":".join([str(commands), *(str(Path(path).parent) for path in programs), known["PATH"]])}


@pytest.mark.parametrize("path", TYPED, ids=lambda path: path.name)
def test_what_a_document_says_to_type_works(lab: Lab, clone: Path, path: Path, gotool: Callable[[str], str]):
    program = "set -eu\n" + "".join(one.text for one in blocks(path) if one.language == "sh" and not one.skipped)
    programs = [gotool("cosign")] if "cosign " in program else []
    done = subprocess.run(
        ["bash", "-c", program], cwd=clone, env=environment(lab, clone, *programs), text=True, timeout=500,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, f"{program}\n{done.stdout[-4000:]}"


def printed(path: Path) -> list[str]:
    """Every call of the command that a document prints: in blocks, and as inline code that has an option or a word behind it."""
    text = path.read_text(encoding="utf-8")
    lines = [
        line.strip() for one in blocks(path) if one.language in ("sh", "text", "") for line in one.text.splitlines()
    ]
    inline = re.findall(r"`(container-pipeline [a-z][^`\n]*)`", re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M))
    calls = [*(line for line in lines if line.startswith("container-pipeline ")), *inline]
    shortened = (re.split(r"\s{2,}|\s[|>#&]|\s→", call)[0] for call in calls)
    return sorted({call for call in shortened if not re.search(r"[\[…]|\b[A-Z]{3,}\b", call)})


CALLS = [(path.name, call) for path in DOCUMENTS for call in printed(path)]


@pytest.mark.parametrize(("name", "call"), CALLS)
def test_every_printed_command_is_well_formed(name: str, call: str):
    _program, word, *arguments = shlex.split(call)
    if word.startswith("-"):
        return
    group = next((group for group, commands in GROUPS.items() if word in commands), None)
    assert group, f"{name} prints {call}: there is no command {word}"
    command = importlib.import_module(f"container_pipeline.cli.{group}").COMMANDS[word]
    try:
        command.make_context(word, arguments)
    except click.exceptions.Exit:
        pass
    except click.UsageError as error:
        if isinstance(error, click.BadParameter) and "does not exist" in error.format_message():
            return  # a file of the reader's
        pytest.fail(f"{name} prints {call}: {error.format_message()}")


def is_project_file(text: str) -> bool:
    data = yaml.safe_load(text)
    return isinstance(data, dict) and set(data) <= set(BY_NAME)


SNIPPETS = [
    (path.name, one.text)
    for path in DOCUMENTS
    for one in blocks(path)
    if one.language == "yaml" and is_project_file(one.text)
]


@pytest.mark.parametrize(("name", "text"), SNIPPETS)
def test_every_printed_setting_is_one(tmp_path: Path, name: str, text: str):
    (tmp_path / "container-pipeline.yml").write_text(text)
    load(tmp_path, {}, environ={})


def test_there_is_something_to_check_of_each_kind():
    assert TYPED
    assert CALLS
    assert SNIPPETS
