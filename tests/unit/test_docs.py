"""Documents match the code and each other in both languages, and their links work."""

from __future__ import annotations

import functools
import importlib
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from container_pipeline.cli import GROUPS
from container_pipeline.keys import camel
from container_pipeline.plan.jenkinsfile import CREDENTIALS
from unit.table import table

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(path for folder in (ROOT, ROOT / "docs") for path in folder.glob("*.md"))
COMMANDS = [(group, name) for group, commands in GROUPS.items() for name in commands]


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M)


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", without_code(path.read_text(encoding="utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_cli_md_is_what_make_docs_writes():
    program = "from tools.docs import text; import sys; sys.stdout.write(text())"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True)
    assert (ROOT / "docs/cli.md").read_bytes() == done.stdout, "run `make docs`"


def test_files_fall_back_only_to_an_example_registry():
    command = ["git", "grep", "-IhoE", r"\{DOCKER_REGISTRY(_PROD)?:?-[a-z0-9-]+\.[^}]*"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split()
    assert {text.partition("-")[2].partition(":")[0] for text in found} == {"registry.example"}


def test_a_version_that_documents_pin_is_there():
    tags = subprocess.run(["git", "tag"], cwd=ROOT, capture_output=True, check=True, text=True).stdout.split()
    pinned = {
        name
        for path in (*DOCUMENTS, *(ROOT / "vars").glob("*.txt"))
        for name in re.findall(r"(?:container-pipeline@|defaultVersion: )(v\d[\w.]*)", path.read_text(encoding="utf-8"))
    }
    assert pinned <= set(tags)


@table(("group", "name"), COMMANDS)
def test_help_of_every_command_shows_examples(group, name):
    command = importlib.import_module(f"container_pipeline.cli.{group}").COMMANDS[name]
    assert f"container-pipeline {name}" in (command.epilog or "")


@table("path", sorted({*DOCUMENTS} - {ROOT / "CHANGELOG.md"}))
def test_documents_type_commands_of_compose_v2(path):
    """A server that has v2 alone knows no `docker-compose`; documents name it where they speak of v1."""
    assert not re.findall(r"docker-compose (?:config|down|exec|logs|ps|pull|restart|up)\b.*", path.read_text("utf-8"))


@table("path", DOCUMENTS)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(path.read_text(encoding="utf-8"))):
        if re.match(r"https?:|mailto:", target):
            continue
        name, _hash, anchor = target.partition("#")
        linked = (path.parent / name).resolve() if name else path
        assert linked.exists(), f"{path.name} links to {target}"
        if anchor and linked.suffix == ".md":
            assert anchor in anchors(linked), f"{path.name} links to {target}"


def shape(path: Path) -> list[tuple[str, object]]:
    """A document's bones: depth of each heading, code blocks, inline code, links, rows of tables."""
    text = path.read_text(encoding="utf-8")
    bones: list[tuple[str, object]] = []
    for block in re.split(r"(^```.*?^```$)", text, flags=re.S | re.M):
        if block.startswith("```"):
            language, _newline, code = block[3:].partition("\n")
            bones.append(("code", (language, _translatable(language, code))))
            continue
        for line in block.splitlines():
            heading = re.match(r"(#+) ", line)
            if heading:
                bones.append(("heading", len(heading[1])))
            elif line.startswith("|"):
                bones.append(("row", line.count("|")))
    return bones


def _translatable(language: str, code: str) -> str:
    """Pictures and output may say other words; what is typed may not: of it only comments and explanations are left out."""
    if language in ("", "text"):
        return "\n".join(re.findall(r"^container-pipeline \S+", code, re.M))
    return "\n".join(re.sub(r"\s*(#|//).*$", "", line) for line in code.splitlines())


TRANSLATED = [path for path in DOCUMENTS if path.name.endswith(".zh-CN.md")]


def english(path: Path) -> Path:
    return path.with_name(path.name.replace(".zh-CN", ""))


@table("path", TRANSLATED)
def test_translations_have_the_same_headings_commands_and_tables(path):
    assert shape(english(path)) == shape(path)


@table("path", TRANSLATED)
def test_a_translation_names_the_same_commands_and_files(path):
    def named(document: Path) -> set[str]:
        return set(re.findall(r"`([^`\n]*)`", without_code(document.read_text(encoding="utf-8"))))

    assert named(english(path)) == named(path)


def test_documents_for_night_and_first_day_are_translated():
    names = {english(path).stem for path in TRANSLATED}
    assert names >= {"README", "convention", "docker-sh", "jenkins", "operating", "recovery", "servers", "services"}


@table("path", TRANSLATED)
def test_both_languages_lead_to_each_other(path):
    assert f"[中文说明]({path.name})" in (text := english(path).read_text()) or f"[中文]({path.name})" in text
    assert f"[English]({english(path).name})" in path.read_text()


@functools.cache
def sentences() -> str:
    """Every sentence of the program, in both languages, one a line."""
    catalogues = [json.loads(path.read_text("utf-8")) for path in (ROOT / "agent").rglob("locale/zh/*.json")]
    carried = [ROOT / "resources/container-pipeline" / name for name in ("launch.sh", "start.py")]
    texts = [text for catalogue in catalogues for pair in catalogue.items() for text in pair]
    return "\n".join([*texts, *(path.read_text("utf-8") for path in carried)])


#: The first column of a table of messages, in italics.
QUOTED = [
    (path.name, message)
    for path in DOCUMENTS
    if path.name.partition(".")[0] in ("recovery", "jenkins", "registries", "supply-chain")
    for column in re.findall(r"^\| (\*[^*|].*?) \|", path.read_text("utf-8"), re.M)
    for message in re.findall(r"\*([^*]+)\*", column)
]


@table(("name", "message"), QUOTED)
def test_a_message_that_a_document_quotes_exists(name, message):
    pattern = r"[^\n]*?".join(re.escape(piece.strip()) for piece in re.split("…+", message))
    assert re.search(pattern, sentences()), f"{name} quotes: {message}"


def test_documents_quote_messages():
    assert {name.partition(".")[0] for name, _message in QUOTED} == {
        "recovery",
        "jenkins",
        "registries",
        "supply-chain",
    }


def test_flow_diagram_matches_its_script_output():
    program = "from tools.pictures import flow; import sys; sys.stdout.write(flow())"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True)
    assert (ROOT / "docs/pictures/flow.svg").read_bytes() == done.stdout, "run `make pictures`"


@pytest.mark.parametrize("name", ["flow.svg", "demo.svg", "bench.svg"])
def test_pictures_are_whole_and_ask_nobody_for_anything(name):
    text = (ROOT / "docs/pictures" / name).read_text(encoding="utf-8")
    ElementTree.fromstring(text)
    assert not re.search(r"@import|@font-face|url\(['\"]?http|<script|<image", text)


@pytest.mark.parametrize("document", ["jenkins.md", "jenkins.zh-CN.md"])
def test_the_table_of_credentials_is_whole(document):
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)`.*? \| `CONTAINER_PIPELINE_CREDENTIALS_(\w+)` \|", text, re.MULTILINE))
    assert {name: camel(variable.lower()) for name, variable in rows.items()} == {name: name for name in CREDENTIALS}
