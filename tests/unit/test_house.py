"""One name everywhere: each command has its modules, section and test; each word of a server has its sentence."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from container_pipeline.cli import GROUPS, HIDDEN
from container_pipeline.console import Console
from container_pipeline.execute import Run
from container_pipeline.model import Target
from container_pipeline.plan.steps import Step
from container_pipeline.remote import reasons
from container_pipeline.result import Result
from container_pipeline.settings import load
from real import convention

REPOSITORY = Path(__file__).parents[2]
PROGRAMS = sorted((REPOSITORY / "agent/container_pipeline/remote/programs").glob("*.sh"))
ARCHITECTURE = (REPOSITORY / "docs/architecture.md").read_text()

#: Modules that serve several commands, as docs/architecture.md has it.
SHARED = {"up": "control", "down": "control", "restart": "control", "pull": "control", "resume": "hold"}
SHARED |= {word: "words" for word in GROUPS["image"] if word != "run"}

COMMANDS = [(group, name) for group, names in {**GROUPS, **HIDDEN}.items() for name in names]


def test_every_command_has_cli_and_implementation_modules():
    for group, name in COMMANDS:
        assert name in importlib.import_module(f"container_pipeline.cli.{group}").COMMANDS
        module = importlib.import_module(f"container_pipeline.commands.{group}.{SHARED.get(name, name)}")
        assert module.__doc__, f"{group} {name}"


def test_architecture_document_names_every_shared_command_module():
    for module in {
        f"{'image' if name in GROUPS['image'] else 'server'}/{module}.py" for name, module in SHARED.items()
    }:
        assert f"`{module}`" in ARCHITECTURE


def test_each_command_has_its_section():
    text = (REPOSITORY / "docs/cli.md").read_text()
    assert [name for names in GROUPS.values() for name in names if f"\n### {name}\n" not in text] == []


def test_tests_on_real_parts_run_every_command():
    files = [path for room in ("real", "seed") for path in (REPOSITORY / "tests" / room).glob("*.py")]
    called = {word for path in files for word in re.findall(r"""["']([a-z-]+)(?=["'\s])""", path.read_text())}
    # All of docker.sh's words go through one table.
    assert {name for names in GROUPS.values() for name in names} - called - {*convention.ALL} == set()


def test_every_command_folder_is_a_help_group():
    rooms = {path.parent.name for path in (REPOSITORY / "agent/container_pipeline/commands").glob("*/__init__.py")}
    assert rooms == {*GROUPS, *HIDDEN}


def test_what_the_table_of_places_names_is_there():
    table = ARCHITECTURE.partition("## Where to change what")[2].partition("\n## ")[0]
    places = [place for place in re.findall(r"`([^` ]+)`", table) if "/" in place]
    assert len(places) > 15
    for place in places:
        assert (REPOSITORY / place).exists(), place


class Known(Step):
    name = "known"

    def describe(self) -> str:
        return "known"


class Child(Known):
    pass


class Unknown(Step):
    pass


def a_run() -> Run:
    return Run(load(REPOSITORY, {}, "", {}), Console(), Result("some"))


def words(*patterns: str) -> set[str]:
    return {found for path in PROGRAMS for pattern in patterns for found in re.findall(pattern, path.read_text(), re.M)}


def test_each_word_of_refusal_has_its_sentence():
    said = words(r"\b(?:refuse|end refused) ([a-z-]+)\b") - {"resolved"}
    assert len(said) > 20
    for word in said:
        error = reasons.explain(Target("web-1"), "refused", f"{word} text", {}, [], [])
        assert error
        assert error.message != f"web-1: {word} text", word
        assert error.hint, word


def test_each_step_and_each_state_has_its_sentence():
    for step in words(r"^\s+step ([a-z]+)$"):
        assert reasons.step(step) != step
    states = words(r'bad="\$service ([a-z]+)', r"\bbad=\"?([a-z]+)\b")
    assert {"unhealthy", "image", "docker", "connection"} <= states
    for state in states:
        text = f"{state} text" if f"{state} text" != reasons.failure(f"{state} text") else f"web {state} text"
        assert reasons.failure(text) != text, state


def test_each_kind_of_news_is_shown():
    for kind in words(r"^\s+say ([a-z]+)\b") - {"hello", "beat", "fact", "step", "end", "ask"}:
        told = (
            *reasons.NEWS,
            "kept",
            "use",
            "attempt",
            "release",
            "differs",
            "container",
            "out",
            "log",
            "live",
            "content",
        )
        assert kind in told, kind


def test_unknown_steps_are_refused_before_any_step_runs():
    done: list[Step] = []
    with pytest.raises(NotImplementedError, match="Unknown"):
        a_run().execute([Known(), Unknown()], {Known: done.append})
    assert done == []


def test_steps_use_the_handler_of_their_nearest_base():
    done: list[Step] = []
    a_run().execute([Child(), Known()], {Known: done.append})
    assert done == [Child(), Known()]


def test_no_public_class_has_the_name_of_another():
    found: dict[str, list[str]] = {}
    for path in sorted((REPOSITORY / "agent/container_pipeline").rglob("*.py")):
        for name in re.findall(r"^class ([A-Z]\w*)", path.read_text(), re.M):
            found.setdefault(name, []).append(path.stem)
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


def test_remote_programs_read_release_records_through_one_function():
    for path in PROGRAMS:
        for line in path.read_text().splitlines():
            reads = re.search(r"\b(?:sed|grep|awk|cut)\b[^>|]*release\.json", line)
            assert not reads or "field " in line, f"{path.name}: {line.strip()}"


def test_a_test_name_has_at_most_eight_words():
    files = (path.read_text(encoding="utf-8") for path in (REPOSITORY / "tests").rglob("test_*.py"))
    names = [name for text in files for name in re.findall(r"^ *def (test_\w+)", text, re.M)]
    assert len(names) > 1000
    assert [name for name in names if len(name.split("_")) > 9] == []


def test_missing_parts_fail_a_test_in_ci():
    files = sorted((REPOSITORY / "tests/real").glob("test_*.py"))
    lines = [f"{path.name}: {line}" for path in files for line in path.read_text().splitlines()]
    skips = [line for line in lines if re.search(r"\bskip\(|skipif\(", line)]
    assert not [line for line in skips if '"CI"' not in line], "call lab.fixtures.missing_part instead"
