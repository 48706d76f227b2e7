"""Every reader of what comes from outside: a value of the declared shape, or an error of this product's own; nothing else."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from container_pipeline import outside
from container_pipeline.clients import buildkit
from container_pipeline.clients.registry import Manifest
from container_pipeline.errors import PipelineError, SettingsError
from container_pipeline.execute import jobs_files
from container_pipeline.model import Code, ImageRef, Registry, RegistryAccess, Repository, Secret
from container_pipeline.outside import Unreadable, read_json, read_xml, read_yaml
from container_pipeline.plan import composefile, envfile
from container_pipeline.plan.deploy import read_record
from container_pipeline.plan.lint import composefile as lint_composefile
from container_pipeline.plan.lint.model import Source
from container_pipeline.plan.seed import configxml, export
from container_pipeline.project import jobs_file, state
from container_pipeline.settings import load
from unit.table import table

quick = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
#: JSON of any shape, with the names that readers look for.
NAMES = st.sampled_from(
    ["services", "x", "image", "volumes", "ports", "environment", "env_file", "profiles", "auths", "code", "servers",
     "environments", "projects", "name", "defaults", "digest", "size", "config", "layers", "manifests", "version", "when"]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
DOCUMENTS = VALUES.map(json.dumps) | st.text(max_size=60)
ATOMS = ["&a", "*a", "<<: ", "- ", "? ", ": ", "{", "}", "[", "]", "!!int ", "!!timestamp ", "!!float ", "!!binary ", "!!x ", "!reset ",
         "2024-13-45", "9" * 200, "1:60", "0x", ".inf", "\n", "  ", "a", "services", "x", "|\n", "'", '"', "\t", "%", "---", "=", "#", "\0"]  # fmt: skip
YAML = DOCUMENTS | st.lists(st.sampled_from(ATOMS), max_size=14).map("".join)
IMAGE = ImageRef(Registry("r.example"), Repository("x"), "1")

BOMB = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40))
HOSTILE_YAML = {
    "nested aliases": BOMB,
    "nested merges": MERGES,
    "an anchor in itself": "a: &a [*a]\n",
    "deep lists": "[" * 300,
    "deep blocks": "".join(" " * n + "a:\n" for n in range(2000)),
    "a number of a million digits": "a: " + "9" * 50_000,
    "a sexagesimal number": "a: " + "1:" * 20_000 + "1",
    "a day that is none": "a: 2024-13-45",
    "a tagged number that is none": "a: !!int x",
    "an empty tagged number": 'a: !!int ""',
    "a tagged time that is none": "a: !!timestamp x",
    "a tagged truth that is none": "a: !!bool x",
    "bad binary": "a: !!binary \xff",
    "a list as a key": "? [a]\n: b",
    "a map as a key": "? {a: b}\n: b",
    "python objects": "a: !!python/object/apply:os.system [true]",
    "an unknown alias": "a: *b",
    "nul": "a: \0",
    "large": "a: " + "x" * 9_000_000,
}


@table("name", HOSTILE_YAML)
def test_every_yaml_reader_refuses_hostile_yaml(name: str, tmp_path: Path):
    text = HOSTILE_YAML[name]
    path = tmp_path / "container-pipeline.yml"
    path.write_text(text)
    for read in (
        lambda: load(tmp_path, {}, "", {}),
        lambda: composefile.read(text.encode(), "docker-compose.yml", Code("x"), IMAGE, {}),
        lambda: jobs_files.load([str(path)]),
    ):
        with pytest.raises(SettingsError) as caught:
            read()
        assert len(caught.value.message) < 700
    lint_composefile.ParsedCompose(Source("docker-compose.yml", text))


@table("data", [b"\xff\xfe\x00", b"a: \xff", "a: 1".encode("utf-16"), b"\x00" * 100])
def test_readers_refuse_files_that_are_not_utf_8(data: bytes, tmp_path: Path):
    (tmp_path / "container-pipeline.yml").write_bytes(data)
    with pytest.raises(SettingsError, match=r"container-pipeline\.yml cannot be read"):
        load(tmp_path, {}, "", {})
    with pytest.raises(SettingsError, match=r"docker-compose\.yml"):
        composefile.read(data, "docker-compose.yml", Code("x"), IMAGE, {})


@table(
    ("part", "value"), [("volumes", 7), ("volumes", "./a:/a"), ("volumes", {"a": 1}), ("ports", 80), ("ports", True)]
)
def test_error_names_the_service_key_of_wrong_type(part: str, value: Any):
    text = json.dumps({"services": {"x": {"image": str(IMAGE), part: value}}})
    with pytest.raises(SettingsError, match=f"docker-compose.yml: {part} of service x is not a list"):
        composefile.read(text.encode(), "docker-compose.yml", Code("x"), IMAGE, {})


def test_yaml_over_value_limit_is_refused_before_construction():
    for loader in (None, jobs_file._base()):
        with pytest.raises(Unreadable, match="more than 1000 values"):
            read_yaml("[" + "a," * 1001 + "]", loader, most=1000)


def test_honest_yaml_with_anchors_is_read():
    text = "a: &a {x: 1}\nb: {<<: *a, y: [*a, *a]}\n"
    assert read_yaml(text) == {"a": {"x": 1}, "b": {"x": 1, "y": [{"x": 1}, {"x": 1}]}}
    assert read_yaml(text, jobs_file._base()) == read_yaml(text)


@table(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 1000 + "1" + "}" * 1000,
        "9" * 5000,
        "1e999",
        "NaN",
        "[-Infinity]",
        '"\\ud800"',
        "\x00",
        "[1",
    ],
)
def test_json_beyond_the_bounds_is_unreadable(text: str):
    with pytest.raises(Unreadable):
        read_json(text, object)


@table(
    "text",
    [
        "<a>" * 100_000,
        "<a>" * 100 + "</a>" * 100,
        "<a",
        '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        "<a>\x00</a>",
        "",
        "<a/>" * 2,
    ],
)
def test_xml_beyond_the_bounds_is_unreadable(text: str):
    with pytest.raises(Unreadable):
        read_xml(text)
    with pytest.raises(Unreadable):
        configxml.parse(text)


def test_export_gives_one_remark_for_each_broken_job():
    found, remarks = export.projects([("bad", "<a"), ("deep", "<a>" * 1000)])
    assert found == []
    assert [remark.partition(":")[0] for remark in remarks] == ["bad", "deep"]


@quick
@given(DOCUMENTS)
def test_json_is_a_map_or_unreadable(text: str):
    with suppress(Unreadable):
        assert isinstance(read_json(text, dict), dict)


@quick
@given(st.binary(max_size=60))
def test_json_is_a_list_or_unreadable(data: bytes):
    with suppress(Unreadable):
        assert isinstance(read_json(data, list), list)


@quick
@given(YAML)
@example("!!int ''")
@example("!!timestamp x")
def test_yaml_is_read_or_unreadable(text: str):
    for loader in (None, jobs_file._base()):
        with suppress(Unreadable):
            read_yaml(text, loader)


@quick
@given(
    st.lists(
        st.sampled_from(["<a>", "</a>", "<b/>", "x", "&amp;", "&#1;", "<!--", "-->", "<![CDATA[", "]]>", " ", "<"]),
        max_size=12,
    ).map("".join)
)
def test_xml_is_an_element_or_unreadable(text: str):
    with suppress(Unreadable):
        assert isinstance(read_xml(text), ET.Element)


@quick
@given(YAML)
def test_a_projects_files_are_read_or_refused(tmp_path: Path, text: str):
    path = tmp_path / "container-pipeline.yml"
    path.write_text(text, encoding="utf-8", errors="replace")
    for read in (
        lambda: load(tmp_path, {}, "", {}),
        lambda: jobs_files.load([str(path)]),
        lambda: composefile.read(text.encode(errors="replace"), "docker-compose.yml", Code("x"), IMAGE, {}),
        lambda: envfile.parse(text.encode(errors="replace"), ".env"),
    ):
        with suppress(PipelineError):
            read()
    lint_composefile.ParsedCompose(Source("docker-compose.yml", text))


@quick
@given(VALUES)
def test_service_of_any_shape_is_read_or_refused(service: Any):
    text = json.dumps(
        {"services": {"x": {"image": str(IMAGE), **(service if isinstance(service, dict) else {"y": service})}}}
    )
    with suppress(PipelineError):
        composefile.read(text.encode(), "docker-compose.yml", Code("x"), IMAGE, {})


@quick
@given(VALUES)
def test_manifest_of_any_shape_is_read_or_refused(document: Any):
    manifest = Manifest(json.dumps(document).encode(), "")
    for name in ("document", "is_schema1", "children", "blobs", "config"):
        with suppress(PipelineError):
            getattr(manifest, name)


@quick
@given(DOCUMENTS)
def test_records_and_configurations_of_any_shape_are_read(tmp_path: Path, text: str):
    assert isinstance(read_record(text), dict)
    for name in (state.VERSION_FILE, state.IMAGE_FILE, state.RECORD_FILE):
        (tmp_path / name).write_text(text, encoding="utf-8", errors="replace")
    with suppress(PipelineError):
        state.read(tmp_path)
    state.last_version(tmp_path)
    access = RegistryAccess("development", Registry("r.example"), "user", Secret("secret"))
    config = buildkit._with_logins(tmp_path / state.RECORD_FILE, [access])
    assert isinstance(config["auths"], dict)


@quick
@given(st.text(max_size=40))
def test_a_time_to_wait_is_seconds_or_none(text: str):
    found = outside.seconds(text)
    assert found is None or 0 <= found < 1e12


@quick
@given(st.text(max_size=200))
def test_what_is_shown_is_printable(text: str):
    assert all(
        char.isprintable() or char in "\n\t " or ord(char) > 0xFFF or char.isspace()
        for char in outside.printable(text)
        if char not in "\xad"
    )
    assert len(outside.short(text, 50)) <= 50
