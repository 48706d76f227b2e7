"""Value types that are validated on creation."""

from __future__ import annotations

import pytest

from container_pipeline.errors import SettingsError
from container_pipeline.model import Code, Digest, ImageRef, Registry, Repository, Secret, Target, Version
from unit.table import table

HOSTILE = ["", "-o", "../x", "..", "A B", "a b", "a\nb", "a\n", "a;b", "a$b", "a`b", "a'b", 'a"b', "a|b", "a&b", "ａ"]


@table("text", [*HOSTILE, "My.App", "my.app", "a--", "-a", "a_", "x" * 64, "a/b"])
def test_error_for_an_invalid_code_shows_the_value(text):
    with pytest.raises(SettingsError) as refused:
        Code(text)
    assert repr(text) in refused.value.message


@table("text", ["aglaia-web-re", "a", "web2", "a--b", "a_b", "x" * 63])
def test_a_code_prints_as_it_was_given(text):
    assert str(Code(text)) == text


@table("text", [*HOSTILE, "Team/app", "team//app", "/app", "app/", "a:b"])
def test_what_is_not_a_repository_is_refused(text):
    with pytest.raises(SettingsError):
        Repository(text)


@table("text", [*(h for h in HOSTILE if h != "ａ"), "latest", ".1", "a/b", "a:b", "x" * 129])
def test_what_is_not_a_version_is_refused(text):
    with pytest.raises(SettingsError):
        Version(text)


@table(
    "text",
    [
        *HOSTILE,
        "https://registry.example",
        "registry.example/",
        "host:port",
        "host:123456",
        "host:65536",
        "h.example/UP",
        "host",
        "host/team",
    ],
)
def test_what_is_not_a_registry_is_refused(text):
    with pytest.raises(SettingsError):
        Registry(text)


@table(
    ("text", "host", "path"),
    [
        ("registry.example", "registry.example", ""),
        ("127.0.0.1:5000", "127.0.0.1:5000", ""),
        ("registry.example:5000/team/a", "registry.example:5000", "team/a"),
        ("[::1]:5000", "[::1]:5000", ""),
    ],
)
def test_a_registry_tells_host_from_path(text, host, path):
    registry = Registry(text)
    assert (registry.host, registry.path, str(registry)) == (host, path, text)


@table("text", ["sha256:" + "a" * 63, "sha256:" + "A" * 64, "md5:" + "a" * 64, "sha256:" + "a" * 64 + "\n"])
def test_what_is_not_a_digest_is_refused(text):
    with pytest.raises(SettingsError):
        Digest(text)


def test_an_image_prints_as_docker_writes_it():
    image = ImageRef(Registry("registry.example:5000/team"), Repository("ns/app"), "1")
    assert str(image) == "registry.example:5000/team/ns/app:1"
    assert str(image.with_tag("latest").in_registry(Registry("other.example"))) == "other.example/ns/app:latest"


@table(
    ("text", "target"),
    [
        ("web1", Target("web1")),
        ("deploy@web1.example:2222", Target("web1.example", "deploy", 2222)),
        ("root@10.0.0.1", Target("10.0.0.1", "root")),
        ("[fe80::1]:22", Target("fe80::1", "", 22)),
        ("prod_web", Target("prod_web")),
    ],
)
def test_a_server_is_read_as_ssh_writes_it(text, target):
    assert Target.parse(text) == target


@table(
    "text",
    [
        *(h for h in HOSTILE if h != "a\n"),
        "-oProxyCommand=x",
        "a@-b",
        "@host",
        "-u@host",
        "host:",
        "host:99999",
        "u;v@host",
        "a..b",
    ],
)
def test_what_is_not_a_server_is_refused(text):
    with pytest.raises(SettingsError):
        Target.parse(text)


def test_a_secret_does_not_print_itself():
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret} {secret!r} {[secret]} {vars(Target('a'))}"
    assert secret.reveal() == "hunter2"
