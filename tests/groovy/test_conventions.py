"""Conventions of every step of the library."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from groovy.jenkins import ROOT

VARS = sorted((ROOT / "vars").glob("*.groovy"))
INNER = ("containerAgent", "containerOptions")
STEPS = [path for path in VARS if path.stem not in (*INNER, "containerPipeline")]
RESOURCES = ROOT / "resources" / "container-pipeline"
PRIVILEGED = re.compile(
    r"(?<![\w.'\"])(sh|bat|withCredentials|libraryResource|writeFile|readFile)\s*[\s(]\s*['\"\[(\w]"
)


def code_of(path: Path) -> str:
    """Return the file without its comments."""
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(encoding="utf-8"), flags=re.S)


@pytest.mark.parametrize("path", VARS, ids=lambda path: path.stem)
def test_a_step_has_its_help_beside_it(path):
    help_text = path.with_suffix(".txt").read_text(encoding="utf-8")
    assert len(help_text.split()) > 15
    assert path.stem in INNER or f"{path.stem}(" in help_text


@pytest.mark.parametrize("path", STEPS, ids=lambda path: path.stem)
def test_a_single_step_is_at_most_twenty_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 20


@pytest.mark.parametrize("path", [path for path in VARS if path.stem != "containerAgent"], ids=lambda path: path.stem)
def test_only_the_agent_step_uses_privileged_steps(path):
    assert not PRIVILEGED.search(code_of(path))


def test_that_rule_can_be_broken():
    assert PRIVILEGED.search("sh 'ls'")
    assert PRIVILEGED.search("    sh(script: x)")
    assert PRIVILEGED.search("withCredentials([a])")
    assert PRIVILEGED.search("libraryResource('x')")


def test_the_shell_text_is_a_constant():
    text = code_of(ROOT / "vars" / "containerAgent.groovy")
    assert re.findall(r"\bsh\(script: ([^,]*\)),", text) == ["libraryResource('container-pipeline/launch.sh')"]
    assert len(re.findall(r"(?<!\.)\bsh\b", text)) == 1


def test_every_library_message_has_a_translation():
    text = "\n".join(code_of(path) for path in VARS)
    said = re.findall(r"""\b(?:say\(|sentence\(words, )('[^'\n]*'|"[^"\n]*")""", text)
    translated = json.loads((RESOURCES / "messages.zh.json").read_text(encoding="utf-8"))
    assert {one[1:-1] for one in said} == set(translated)


@pytest.mark.parametrize("path", VARS, ids=lambda path: path.stem)
def test_steps_hold_no_global_state(path):
    text = code_of(path)
    assert not re.search(r"^\w+\s*=[^=]", text, flags=re.M), "a variable without def outside of a method"
    assert not re.search(r"^\s*class\s", text, flags=re.M)
    fields = re.findall(r"^@Field.*", text, flags=re.M)
    assert all("static final" in field for field in fields)


def test_the_launcher_is_plain_posix_shell():
    subprocess.run(
        [Path(sys.executable).with_name("shellcheck"), "--shell=sh", str(RESOURCES / "launch.sh")], check=True
    )


def test_nothing_in_the_library_names_a_password():
    for path in VARS:
        assert not re.search(r"password\s*[:=]\s*['\"]", path.read_text(encoding="utf-8"), flags=re.I)
