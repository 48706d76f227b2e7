"""container-pipeline.yml: what is a text is read as it is spelled, whatever YAML 1.1 takes it for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from container_pipeline.__main__ import main
from container_pipeline.errors import SettingsError
from container_pipeline.plan.yamltext import scalar
from container_pipeline.settings import Settings, load
from unit.table import table

#: Plain words that YAML 1.1 reads as booleans, numbers, dates or numbers to the base of 60.
WORDS = [
    "no", "yes", "on", "off", "true", "false", "y", "n", "2024_11", "1_0", "0x1f", "0o17", "0b11", "017", "1e3", "1.5e3", "12", "1.10",
    "2024-11-26", "12-30", "inf", "nan", "null-web", "685_230_15",
]  # fmt: skip
CODES = [word for word in WORDS if "." not in word]


def settings(folder: Path, text: str, environment: str = "") -> Settings:
    (folder / "container-pipeline.yml").write_text(text, encoding="utf-8")
    return load(folder, {}, environment, {})


@table("code", CODES)
def test_a_code_is_what_is_written(tmp_path, code):
    assert str(settings(tmp_path, f"code: {code}\n").code) == code


@table("code", ["12:30:45", "NO", "1.5", "1_", "+1", "0x1F", "2024-11-26 10:00:00"])
def test_invalid_code_is_refused_as_spelled_in_file(tmp_path, code):
    with pytest.raises(SettingsError, match="is not a project code") as refused:
        assert settings(tmp_path, f"code: {code}\n").code
    assert repr(code) in str(refused.value)


@table("word", WORDS)
def test_a_text_is_what_is_written(tmp_path, word):
    keys = ["namespace", "context", "dockerfile", "compose_file", "env_file", "remote_root"]
    values = settings(tmp_path, "".join(f"{key}: {word}\n" for key in keys)).values
    assert [getattr(values, key) for key in keys] == [word] * len(keys)


@table("word", CODES)
def test_hosts_environments_lists_and_maps_keep_their_spelling(tmp_path, word):
    text = (
        f"servers: [{word}, {{host: {word}.example, user: u{word}, name: x{word}}}]\nfiles: [{word}]\n"
        f"build_args: {{{word}: {word}}}\nenvironments: {{{word}: {{env_file: {word}}}}}\n"
    )
    found = settings(tmp_path, text, word)
    assert [target.host for target in found.servers] == [word, f"{word}.example"]
    assert found.servers[1].user == f"u{word}"
    assert found.values.files == (word,)
    assert found.values.build_args == {word: word}
    assert found.values.env_file == word


@table(("text", "expected"), [("yes", "true"), ("true", "true"), ("no", ""), ("False", ""), ("sure?", "sure?")])
def test_approve_is_a_boolean_or_a_question(tmp_path, text, expected):
    assert settings(tmp_path, f"approve: {text}\n").values.approve == expected


@table(("text", "expected"), [("on", True), ("No", False), ("1", True), ("'false'", False)])
def test_a_boolean_is_read_in_every_spelling(tmp_path, text, expected):
    assert settings(tmp_path, f"cache: {text}\n").values.cache is expected


@table("text", ["0x10", "1_0", "010", "1e1", "1:30", "0", "yes", "1.0"])
def test_a_number_is_decimal_or_refused(tmp_path, text):
    with pytest.raises(SettingsError, match=r"timeout .* must be a whole number of at least 1, not"):
        settings(tmp_path, f"timeout: {text}\n")


@table("word", [*WORDS, "~", "null", "Null", ".inf", "NO", "a: b", "- x", "# x", "", " ", "'", "1:2"])
def test_written_text_is_read_back_by_yaml_unchanged(word):
    assert yaml.safe_load(f"key: {scalar(word)}\n") == {"key": word}


@pytest.mark.parametrize("code", ["no", "2024_11", "1e3"])
def test_fix_and_init_quote_codes_yaml_would_convert(tmp_path, monkeypatch, code):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    (tmp_path / "container-pipeline.yml").write_text(f"code: {code}\n")
    (tmp_path / "docker-compose.yml").write_text("version: '3.5'\nservices:\n  web:\n    image: a\n")
    main(["lint", "--fix", "--project", str(tmp_path)])
    service = yaml.safe_load((tmp_path / "docker-compose.yml").read_text())["services"][code]
    assert (service["container_name"], service["hostname"]) == (code, code)
    first = tmp_path / "first"
    first.mkdir()
    (first / "app.py").write_text("print(1)\n")
    assert main(["init", "--code", code, "--project", str(first)]) == 0
    service = yaml.safe_load((first / "docker-compose.yml").read_text())["services"][code]
    assert (service["container_name"], service["hostname"]) == (code, code)
    assert json.loads(json.dumps(yaml.safe_load((first / "container-pipeline.yml").read_text())))["code"] == code


def test_windows_files_are_read(tmp_path):
    found = settings(tmp_path, "\ufeffcode: shop-web\r\ntimeout: 25\r\nservers: [server-1]\r\n")
    assert (str(found.code), found.values.timeout, [one.host for one in found.servers]) == (
        "shop-web",
        25,
        ["server-1"],
    )
