"""Checks of a Compose file before it is sent."""

from __future__ import annotations

import pytest

from container_pipeline.errors import SettingsError
from container_pipeline.model import Code, ImageRef, Registry, Repository
from container_pipeline.plan import composefile
from unit.table import table

IMAGE = ImageRef(Registry("registry.example:5000/team"), Repository("a-b"), "1")
VALUES = {"DOCKER_REGISTRY": "registry.example:5000/team", "VERSION": "1", "CONF": "./conf"}
OWN = "  a-b:\n    image: ${DOCKER_REGISTRY:-x}/a-b:${VERSION:-latest}\n"


def read(text: str) -> composefile.ComposeFile:
    return composefile.read(text.encode(), "docker-compose.yml", Code("a-b"), IMAGE, VALUES)


@table(
    ("text", "filled"),
    [
        ("${A}", "1"),
        ("$A-x", "1-x"),
        ("$$A", "$A"),
        ("${B}", ""),
        ("${B:-d}", "d"),
        ("${E:-d}", "d"),
        ("${E-d}", ""),
        ("${B-d}", "d"),
        ("${A:-d}", "1"),
        ("${B:?must}", ""),
    ],
)
def test_variables_are_filled_in_as_compose_does(text, filled):
    assert composefile.substitute(text, {"A": "1", "E": ""}) == filled


def test_services_in_inactive_profiles_are_ignored():
    found = read(f"services:\n{OWN}  tool:\n    image: t\n    profiles: [tools]\n    volumes: ['./x:/x']\n")
    assert (found.services, found.mounts) == (("a-b",), ())


def test_relative_bind_mounts_are_found_in_every_form():
    found = read(f"""services:
{OWN}    volumes:
      - ./one:/1
      - ./two/../three/x.yml:/2:ro
      - {{type: bind, source: ./four, target: /4}}
      - ${{CONF}}/five:/5
      - /absolute:/a
      - named:/n
      - /anonymous
      - {{type: volume, source: named, target: /v}}
""")
    assert found.mounts == ("one", "three/x.yml", "four", "conf/five")


def test_env_files_that_must_be_there_are_found():
    found = read(f"services:\n{OWN}    env_file: [.env, {{path: ./b.env}}, {{path: c.env, required: false}}]\n")
    assert found.env_files == (".env", "b.env")


def test_tags_of_compose_are_no_fault():
    assert read(f"services:\n{OWN}    ports: !reset []\n").services == ("a-b",)


@table(
    ("text", "sentence"),
    [
        ("services: {other: {image: x}}", "has no service named a-b"),
        ("services: {a-b: {image: x}}", "service a-b runs x, not registry.example:5000/team/a-b:1"),
        ("services: {a-b: {build: .}}", "service a-b runs -, not"),
        (f"services:\n{OWN}  web: {{build: .}}\n", "service web would be built on the server"),
        ("a-b: {image: x}", "it has no `services:`"),
        ("- a", "it has no `services:`"),
        ("services: {a-b: }", "it has no `services:`"),
        ("a: b: c", "docker-compose.yml:1 cannot be read"),
    ],
)
def test_what_cannot_be_right_is_refused_by_name(text, sentence):
    with pytest.raises(SettingsError) as refused:
        read(text)
    assert sentence in refused.value.message


def test_mounts_need_their_file_or_parent_folder_uploaded():
    found = read(f"services:\n{OWN}    volumes: ['./conf/x.yml:/x']\n")
    composefile.check_files(found, ["conf"], True, "f")
    composefile.check_files(found, ["conf/x.yml"], True, "f")
    with pytest.raises(SettingsError, match=r"mounts conf/x\.yml, which is not uploaded"):
        composefile.check_files(found, ["conf/x", "con"], True, "f")


@table(
    "path",
    ["..", "../x", "/x", ".", "", "a/../..", "x\ny", ".env", ".env.v1", "./docker-compose.yml", "releases/1", "-rf"],
)
def test_paths_outside_project_and_release_files_are_refused(path):
    with pytest.raises(SettingsError):
        composefile.units([path])


def test_file_paths_are_normalised_and_keep_their_order():
    assert composefile.units(["./b/c/", "a", "b/d", "b-c"]) == ("b/c", "a", "b/d", "b-c")


@table("files", [["conf", "conf/app.ini"], ["conf/app.ini", "conf"], ["conf", "./conf/"], ["a/b/c", "x", "a"]])
def test_files_that_lie_in_one_another_are_refused(files):
    with pytest.raises(SettingsError, match="is already part of"):
        composefile.units(files)


def test_start_first_removes_only_the_container_name():
    text = f"services:\n{OWN}    container_name: a-b  # by convention\n    hostname: a-b\n"
    kept = composefile.for_start_first(text.encode(), "a-b", "f").decode()
    assert kept == f"services:\n{OWN}    hostname: a-b\n"


def test_start_first_refuses_container_names_it_cannot_remove():
    with pytest.raises(SettingsError, match="cannot be removed automatically"):
        composefile.for_start_first(b"services: {a-b: {container_name: a-b}}\n", "a-b", "f")


@table(
    ("text", "seen"),
    [
        ("services: {a-b: {env_file: .env}}", composefile.Glance(reads_env=True)),
        ("services: {a-b: {env_file: [{path: .env, format: raw}]}}", composefile.Glance(reads_env=True, raw_env=True)),
        ("services: {a-b: {container_name: x}}", composefile.Glance(container_name="x")),
        ("include: [b.yml]\nservices: {c: {}}", composefile.Glance()),
        ("services: {a-b:", composefile.Glance()),
    ],
)
def test_a_glance_tells_what_is_sure_without_compose(text, seen):
    assert composefile.glance(text.encode(), "f", Code("a-b")) == seen


@table("code", ["no", "on", "017", "0x10", "null", "1e3"])
def test_a_glance_takes_service_names_as_written(code):
    text = f"x-a: &a {{env_file: .env}}\nservices:\n  {code}:\n    <<: *a\n    container_name: x\n"
    seen = composefile.Glance(reads_env=True, container_name="x")
    assert composefile.glance(text.encode(), "f", Code(code)) == seen
