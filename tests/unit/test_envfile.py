"""A .env is read raw, and written so that both generations of Compose read it back (tests/real proves that on the real ones)."""

from __future__ import annotations

import pytest

from container_pipeline.errors import SettingsError
from container_pipeline.plan import envfile
from unit.table import table


def test_values_are_raw():
    text = b"A='x'\nB=\"y\" # no comment\nC=$D\\n\nE=\n"
    assert envfile.parse(text, ".env") == {"A": "'x'", "B": '"y" # no comment', "C": "$D\\n", "E": ""}


def test_the_last_of_two_values_counts():
    assert envfile.parse(b"A=1\nA=2\n", ".env") == {"A": "2"}


@table("text", [b"", b"\n", b"#A=1\n", b"A\n", b"1A=x\n", b"A =x\n", b"=x\n", b"A=\0\n", b"A=\xff\n"])
def test_what_is_no_file_of_values_is_refused(text):
    with pytest.raises(SettingsError):
        envfile.parse(text, ".env")


def test_parse_error_names_the_line_without_its_content():
    with pytest.raises(SettingsError) as refused:
        envfile.parse(b"A=1\n\npassword hunter2\n", "prod.env")
    assert refused.value.message == "prod.env, line 3 is not NAME=value"


@table(
    ("value", "v1", "v2"),
    [
        ("", "", ""),
        ("plain-value:5000/x", "plain-value:5000/x", "plain-value:5000/x"),
        ("C:\\\\x", "C:\\\\x", "C:\\\\x"),
        ("two words", "'two words'", "'two words'"),
        ("it's $HOME", "'it\\'s $HOME'", "'it\\'s $HOME'"),
        ("${HOME}", '"${:-$}{HOME}"', '"$${HOME}"'),
        ("a b\\", '"a b${:-\\}"', '"a b\\\\"'),
        ('"\\\\"', '"\\"\\\\\\\\\\""', '"\\"\\\\\\\\\\""'),
    ],
)
def test_values_render_identically_unless_compose_versions_differ(value, v1, v2):
    assert envfile.render({"A": value}, "v1").decode() == f"A={v1}\n"
    assert envfile.render({"A": value}, "v2").decode() == f"A={v2}\n"
