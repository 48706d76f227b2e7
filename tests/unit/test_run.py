"""Docker's own meaning of the flags of `run`."""

from __future__ import annotations

from pathlib import Path

import pytest

from container_pipeline.errors import SettingsError
from container_pipeline.plan.run import options, parse_env_file
from unit.table import table

HERE = Path("/srv/project")


def test_port_80_is_published_where_nobody_says_otherwise():
    assert options({}, {}, HERE, {}).ports == ("80:80",)


def test_a_project_may_publish_no_port():
    assert options({"ports": []}, {}, HERE, {}).ports == ()


@table("port", ["8080:80", "127.0.0.1:8080:80", "127.0.0.1::80", "8000-8002:80-82/udp", "[::1]:80:80"])
def test_ports_are_written_as_in_docker(port):
    assert options({"ports": [port]}, {}, HERE, {}).ports == (port,)


@table("port", ["", "http", "80:80/icmp", "-p", "80:80\n"])
def test_port_that_docker_rejects_is_refused(port):
    with pytest.raises(SettingsError):
        options({"ports": [port]}, {}, HERE, {})


def test_variable_without_a_value_comes_from_the_environment():
    found = options({"environment": ["A=1", "B", "C", "D="]}, {}, HERE, {"B": "2"}).environment
    assert found == {"A": "1", "B": "2", "D": ""}


def test_project_variable_overrides_the_env_file():
    found = options({"environment": {"A": True}}, {Path(".env"): "A=file\nB=file"}, HERE, {}).environment
    assert found == {"A": "true", "B": "file"}


def test_an_env_file_is_taken_as_it_stands():
    text = '\ufeff# comment\n\n  A="quoted" $HOME # no comment\nB=a=b\nC= blank \nMINE\nNOBODYS\n'
    assert parse_env_file(text, ".env", {"MINE": "m"}) == {
        "A": '"quoted" $HOME # no comment',
        "B": "a=b",
        "C": " blank ",
        "MINE": "m",
    }


def test_env_file_lines_end_as_in_docker():
    assert parse_env_file("A=1\x0c2\u20283\r\nB=\x1d\n", ".env", {}) == {"A": "1\x0c2\u20283", "B": "\x1d"}


def test_a_malformed_line_is_named_but_not_shown():
    with pytest.raises(SettingsError) as caught:
        parse_env_file("A=1\nTHE SECRET=x\n", ".env", {})
    assert caught.value.message == ".env:2 is not NAME=value"


@table(
    ("volume", "bound"),
    [
        ("/logs", "/logs"),
        ("/opt/logs:/logs", "/opt/logs:/logs"),
        ("data:/data:ro", "data:/data:ro"),
        ("./logs:/logs", "/srv/project/logs:/logs"),
        ("../logs:/logs", "/srv/logs:/logs"),
    ],
)
def test_volumes_are_written_as_in_docker(volume, bound):
    assert options({"volumes": [volume]}, {}, HERE, {}).volumes == (bound,)


@table("given", [{"name": "-x"}, {"volumes": [":/x"]}, {"environment": ["=1"]}, {"ports": {"a": 1}}])
def test_what_docker_would_not_take_is_refused(given):
    with pytest.raises(SettingsError):
        options(given, {}, HERE, {})


def test_an_unknown_key_names_the_nearest():
    with pytest.raises(SettingsError) as caught:
        options({"port": ["80:80"]}, {}, HERE, {})
    assert caught.value.hint == "did you mean ports?"
