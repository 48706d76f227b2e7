"""Checks of a Compose file for Docker Swarm, before any change on a server."""

from __future__ import annotations

import json

import pytest

from container_pipeline.errors import SettingsError
from container_pipeline.model import ImageRef, Registry, Repository
from container_pipeline.plan import envfile, stackfile
from unit.table import table

IMAGE = ImageRef(Registry("registry.example:5000"), Repository("web"), "7")
VALUES = {"DOCKER_REGISTRY": "registry.example:5000", "VERSION": "7", "DOCKER_HOST": "tcp://x", "PLAIN": "p"}
OWN = "${DOCKER_REGISTRY:-x}/web:${VERSION:-latest}"
DIGEST = f"sha256:{1:064}"


def text(service: str = "", top: str = "", version: str = 'version: "3.8"\n') -> bytes:
    return f"{version}{top}services:\n  web:\n    image: {OWN}\n    {service}\n".encode()


@table(
    ("written", "said", "instead"),
    [
        (text(version=""), "not -", "3.8"),
        (text(version="version: '2.4'\n"), "not 2.4", "3.8"),
        (text(top="name: shop\n"), "`name:`", "named after the project code"),
        (text(top="include: [other.yml]\n"), "`include:`", "one file"),
        (text("profiles: [tools]"), "`profiles:`", "replicas: 0"),
        (text("cpus: 0.5"), "`cpus:`", "limits"),
        (text("mem_limit: 1g"), "`mem_limit:`", "memory"),
        (text("extends: {service: x}"), "`extends:`", "anchor"),
        (text("pull_policy: always"), "`pull_policy:`", "no equivalent"),
        (text("depends_on: {db: {condition: service_healthy}}"), "depends_on conditions", "plain list"),
        (text("hostname: '${DOCKER_HOST}'"), "DOCKER_HOST", "rename it in .env"),
    ],
)
def test_what_swarm_refuses_is_named_with_its_replacement(written, said, instead):
    with pytest.raises(SettingsError) as refused:
        stackfile.check(written, "docker-compose.yml", VALUES)
    assert said in str(refused.value)
    assert instead in refused.value.hint


@table(
    "written",
    [
        text("depends_on: [db]", "x-common: {a: 1}\n"),
        text("hostname: $$DOCKER_HOST"),
        text("hostname: '${PLAIN}-${DOCKER_REGISTRY}-${DOCKER_CONTEXT:-none}'"),
        text("x-more: 1", version="version: '3'\n"),
    ],
)
def test_what_swarm_takes_is_not_refused(written):
    stackfile.check(written, "docker-compose.yml", VALUES)


def completed(written: bytes, **contents: str) -> dict:
    files = {name.replace("_", "/"): content.encode() for name, content in contents.items()}
    return json.loads(stackfile.override(written, "docker-compose.yml", IMAGE, DIGEST, VALUES, files))


def test_only_the_own_image_is_pinned_by_digest():
    written = text() + f"  worker:\n    image: {OWN}\n  cache:\n    image: cache:$VERSION\n".encode()
    assert completed(written) == {
        "version": "3.8",
        "services": {"web": {"image": f"{IMAGE}@{DIGEST}"}, "worker": {"image": f"{IMAGE}@{DIGEST}"}},
    }


def test_names_of_configs_and_secrets_follow_their_content():
    top = "configs: {c: {file: ./conf/c}, made: {external: true}}\nsecrets: {s: {file: key, name: '${PLAIN}'}}\n"
    first = completed(text(top=top), conf_c="1", key="k")
    assert first["configs"]["c"]["file"] == "conf/c"
    assert set(first["configs"]) == {"c"}
    assert first["secrets"]["s"]["name"].startswith("p-")
    assert completed(text(top=top), conf_c="1", key="k", other="x") == first
    changed = completed(text(top=top), conf_c="2", key="k")
    assert changed["configs"]["c"]["name"] != first["configs"]["c"]["name"]
    assert changed["secrets"] == first["secrets"]


def test_compose_version_without_config_names_is_refused():
    with pytest.raises(SettingsError, match="cannot update c of `configs:`"):
        completed(text(top="configs: {c: {file: c}}\n", version="version: '3.3'\n"), c="1")


def test_a_service_that_mounts_files_changes_with_them():
    written = text() + b"  proxy:\n    image: p\n    volumes: ['./conf:/conf']\n"

    def label(**contents: str) -> str:
        return completed(written, **contents)["services"]["proxy"]["labels"]["container-pipeline.files"]

    assert label(conf_a="1") == label(conf_a="1", other="2")
    assert len({label(conf_a="1"), label(conf_a="2"), label(conf_b="1")}) == 3


def test_env_value_longer_than_128_kb_is_refused():
    assert envfile.render({"A": "x" * (128 * 1024 - 3)}, "raw")
    with pytest.raises(SettingsError, match=r"A in \.env is longer than 128 kB"):
        envfile.render({"A": "x" * (128 * 1024 - 2)}, "raw")


@table(
    ("service", "declared", "kind", "names"),
    [
        ("networks: [a]", "networks: {a: {external: true}, b: {external: true}}", "networks", ("a",)),
        ("networks: {a: {aliases: [x]}}", "networks: {a: {external: {name: front}}}", "networks", ("front",)),
        ("command: x", "networks: {default: {external: true, name: '${ENV}-front'}}", "networks", ("test-front",)),
        ("network_mode: none", "networks: {default: {external: true}}", "networks", ()),
        ("networks: [a]", "networks: {a: {external: true, name: host}}", "networks", ()),
        ("networks: [a]", "networks: {a: {external: false}}", "networks", ()),
        ("networks: [a]", "networks: {a: }", "networks", ()),
        ("networks: [a]", "networks: {a: {external: '${YES}'}}", "networks", ("a",)),
        ("volumes: ['a:/a:ro', './b:/b', '/c']", "volumes: {a: {external: true}}", "volumes", ("a",)),
        ("volumes: [{type: volume, source: a, target: /a}]", "volumes: {a: {external: true}}", "volumes", ("a",)),
        ("configs: [{source: a}, b]", "configs: {a: {external: true}, b: {file: ./b}}", "configs", ("a",)),
        ("secrets: [a]", "secrets: {a: {external: true, name: web.key}}", "secrets", ("web.key",)),
    ],
)
def test_used_external_resources_are_found_by_real_name(service: str, declared: str, kind: str, names: tuple[str, ...]):
    text = f'version: "3.5"\nservices:\n  web:\n    image: x\n    {service}\n{declared}\n'
    found = stackfile.external(text.encode(), "docker-compose.yml", {"ENV": "test", "YES": "true"})
    assert found.pop(kind) == names
    assert set(found.values()) == {()}
