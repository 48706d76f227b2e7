"""A program's output as the service's environment: every failure is one sentence, without a word of what it printed."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from container_pipeline.__main__ import main
from container_pipeline.clients import children
from container_pipeline.console import Console
from container_pipeline.errors import SettingsError
from container_pipeline.execute import Run, release
from container_pipeline.model import Program
from container_pipeline.result import Result
from container_pipeline.settings import load
from unit.table import table

SECRET = "Tr0ub4dor-and-3"
COMPOSE = "services: {a-b: {image: x/a-b, env_file: [.env]}}\n"
Project = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Write a project whose environment comes from the shell script ``script``, or from other ``keys``."""
    monkeypatch.setattr(children, "_ABORT_GRACE", 0)
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("DOCKER_REGISTRY", "registry.invalid:5000")

    def write(script: str = "", **keys: Any) -> Path:
        path = tmp_path / "secrets.sh"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        program = {"command": ["./secrets.sh"], **keys}
        text = {"code": "a-b", "servers": ["web.invalid"], "env_from": program}
        (tmp_path / "container-pipeline.yml").write_text(json.dumps(text))
        (tmp_path / "docker-compose.yml").write_text(COMPOSE)
        return tmp_path

    return write


def values(folder: Path) -> dict[str, str]:
    return release._env_values(Run(load(folder, {}), Console(), Result("deploy")))


FAILURES = {
    "missing": ("", {"command": ["no-such-program-here", SECRET]}, "no-such-program-here is not on this machine"),
    "not executable": ("", {"command": ["./container-pipeline.yml"]}, "cannot be started: Permission denied"),
    "fails": (f"echo A={SECRET}; echo {SECRET} >&2; exit 3", {}, "failed with exit code 3"),
    "is killed": (f"echo A={SECRET}; kill -9 $$", {}, "was ended by signal 9"),
    "hangs": (f"echo A={SECRET}; sleep 100", {"timeout": 1}, "did not end within 1 s"),
    "keeps stdout open": (f"echo A={SECRET}; sleep 100 &", {"timeout": 1}, "did not end within 1 s"),
    "prints nothing": (f"echo {SECRET} >&2", {}, "printed nothing"),
    "floods": (f"yes A={SECRET}", {}, "printed more than 512 kB"),
    "floods stderr": (f"yes A={SECRET} >&2", {}, "printed more than 512 kB"),
    "too many": ("seq -f A%.0f=1 3000", {}, "printed more than 2000 variables"),
    "no dotenv": (f"echo A=1; echo {SECRET}", {}, "env_from, line 2 is not NAME=value"),
    "no UTF-8": (f"printf 'A={SECRET}\\377'", {}, "env_from, line 1 is not UTF-8"),
    "only comments": (f"echo '# {SECRET}'", {}, "env_from is empty"),
    "another project": (f"echo COMPOSE_FILE={SECRET}", {}, "COMPOSE_FILE would make Compose use another project"),
    "no JSON": (f'echo \'{{"A": "{SECRET}"\'', {"format": "json"}, "env_from cannot be read: it is not JSON"),
    "dotenv for JSON": (f"echo A={SECRET}", {"format": "json"}, "it is not JSON"),
    "JSON of a list": (f"echo '[\"{SECRET}\"]'", {"format": "json"}, "not in the expected form"),
    "JSON of a text": (f"echo '\"{SECRET}\"'", {"format": "json"}, "not in the expected form"),
    "JSON in JSON": (f'echo \'{{"A": 1, "B": {{"C": "{SECRET}"}}}}\'', {"format": "json"}, "entry 2 is not a name with"),
    "JSON name": (f'echo \'{{"{SECRET} x": 1}}\'', {"format": "json"}, "entry 1 is not a name with"),
    "JSON null": ('echo \'{"A": null}\'', {"format": "json"}, "entry 1 is not a name with"),
    "JSON surrogate": (f'echo \'{{"A": "{SECRET}\\\\ud800"}}\'', {"format": "json"}, "it is not UTF-8"),
    "JSON zero": (f'echo \'{{"A": "{SECRET}\\\\u0000"}}\'', {"format": "json"}, "entry 1 is not a name with"),
    "JSON of nothing": ("echo '{}'", {"format": "json"}, "env_from is empty"),
    "deep JSON": (f"printf '{{\"A\": %s\"{SECRET}' \"$(printf '[%.0s' $(seq 5000))\"", {"format": "json"}, "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAILURES)
def test_each_failure_is_one_sentence_without_secrets(case: str, project: Project, capsys, monkeypatch):
    script, keys, sentence = FAILURES[case]
    # A second that is over at once: whatever has begun until then is ended.
    finish = children.finish
    monkeypatch.setattr(
        children, "finish", lambda *given, timeout, **more: finish(*given, timeout=timeout - 0.9, **more)
    )
    folder = project(script, **keys)
    assert main(["deploy", "--version", "1", "-v", "--json", "--project", str(folder)]) == 1
    out, err = capsys.readouterr()
    told = [line for line in err.splitlines() if not line.startswith("settings: ")]
    assert len(told) == 1
    assert sentence in told[0]
    assert json.loads(out)["error"]["category"] == "settings"
    for form in (SECRET, SECRET.encode().hex(), base64.b64encode(SECRET.encode()).decode().rstrip("=")):
        assert form not in out + err


@pytest.mark.parametrize("end", ["exit 0", "exit 3", "sleep 100", f"yes {SECRET}"])
def test_all_its_processes_end_with_the_program(end: str, project: Project, tmp_path: Path):
    pids = tmp_path / "pids"
    each = f"sh -c 'echo $$ >> {pids}; exec sleep 1000'"
    # One child of its group, one in a session of its own, one whose parent is gone.
    script = f"{each} >&- 2>&- & setsid {each} >&- 2>&- & (setsid {each} >&- 2>&- &) & "
    script += f'while [ "$(wc -l < {pids})" != 3 ]; do sleep 0.01; done 2>&-; echo A={SECRET}; {end}'
    # A busy machine may not have started them all, or any, when the time of the one that hangs is over.
    pids.touch()
    hangs = end == "sleep 100"
    folder = project(script, timeout=1 if hangs else 60)
    with contextlib.suppress(SettingsError):
        values(folder)
    found = [int(line) for line in pids.read_text().split()]
    assert hangs or len(found) == 3
    ended(found)


def ended(pids: list[int]) -> None:
    """Wait until no process of ``pids`` runs."""
    patience = time.monotonic() + 30
    while left := [pid for pid in pids if _runs(pid)]:
        assert time.monotonic() < patience, left
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("starting", [False, True], ids=["running", "starting"])
def test_an_abort_ends_the_program_and_its_children(starting: bool, project: Project, tmp_path: Path, monkeypatch):
    pids = tmp_path / "pids"
    folder = project(f"setsid sh -c 'echo $$ > {pids}; exec sleep 1000' & sleep 1000")

    def abort(*_process: object) -> None:
        while not pids.exists() or not pids.read_text():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    class Started(subprocess.Popen):
        def __init__(self, *options: Any, **more: Any) -> None:
            super().__init__(*options, **more)
            abort()

    if starting:
        monkeypatch.setattr(subprocess, "Popen", Started)
    else:
        monkeypatch.setattr(children, "_output", abort)
    with pytest.raises(KeyboardInterrupt):
        values(folder)
    ended([int(pids.read_text())])


def test_a_child_that_begins_a_program_ends_too(project: Project, tmp_path: Path, monkeypatch):
    pids = tmp_path / "pids"
    looks: list[Path] = []
    read = Path.read_bytes

    def beginning(path: Path) -> bytes:
        """Read a file, but the child's environment only at the second look, as while Linux loads its program."""
        if path.name == "environ" and path.parent.name == pids.read_text().strip():
            looks.append(path)
            return b"" if len(looks) == 1 else read(path)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", beginning)
    script = f"setsid sh -c 'echo $$ > {pids}; exec sleep 1000' >&- 2>&- & until [ -s {pids} ]; do :; done; echo A=1"
    assert values(project(script)) == {"A": "1"}
    ended([int(pids.read_text())])
    assert len(looks) > 1


def test_the_program_gets_named_variables_alone(project: Project, monkeypatch):
    for name in (
        "DOCKER_REGISTRY_PASS",
        "JENKINS_TOKEN",
        "CONTAINER_PIPELINE_SSH_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "VAULT_TOKEN",
    ):
        monkeypatch.setenv(name, f"of-{name}")
    found = values(project("env | grep -v '^_=' ", inherit=["VAULT_TOKEN", "NOT_SET"]))
    assert found["VAULT_TOKEN"] == "of-VAULT_TOKEN"
    assert found["PATH"] == os.environ["PATH"]
    assert found["PWD"] == str(load(project(), {}).project)
    assert [value for name, value in found.items() if value.startswith("of-") and name != "VAULT_TOKEN"] == []
    assert "DOCKER_REGISTRY" not in found


def test_failure_names_inherited_variables_that_are_missing(project: Project, monkeypatch):
    monkeypatch.delenv("VAULT_TOKEN", raising=False)
    with pytest.raises(SettingsError) as refused:
        values(project("exit 1", inherit=["PATH", "VAULT_TOKEN"]))
    assert refused.value.hint == "VAULT_TOKEN of `inherit` is not set here"


def test_arguments_reach_the_program_without_a_shell(project: Project):
    given = ["a b", "$HOME", "*", "'x'", "", "-n", "`id`", "a;b"]
    folder = project("for word; do n=$((n + 1)); echo A$n=$word; done", command=["./secrets.sh", *given])
    assert list(values(folder).values()) == given


def test_json_numbers_and_words_keep_their_spelling(project: Project):
    text = '{"A": 1.10, "B": 007e1, "C": true, "D": "x\\ny", "E": 123456789012345678901234567890, "F": "", "G": "你"}'
    folder = project(f"cat <<'END'\n{text.replace('007e1', '7e1')}\nEND", format="json")
    assert values(folder) == {
        "A": "1.10",
        "B": "7e1",
        "C": "true",
        "D": "x\ny",
        "E": "123456789012345678901234567890",
        "F": "",
        "G": "你",
    }


def test_the_program_runs_once_in_a_run(project: Project):
    folder = project("echo ran >> ran; echo A=1")
    run = Run(load(folder, {}), Console(), Result("ship"))
    assert release._env_values(run) == release._env_values(run) == {"A": "1"}
    assert (folder / "ran").read_text() == "ran\n"


def test_printed_values_are_redacted_and_public_names_shown(project: Project):
    folder = project(f"echo ENV=production; echo A={SECRET}; echo B=a-b; echo C=true; echo D=web; echo E=pa55")
    run = Run(load(folder, {}), Console(), Result("deploy"))
    release._env_values(run)
    text = f"production a-b true web.invalid {SECRET} pa55"
    assert run.console.redact(text) == "production a-b true web.invalid *** ***"


@table(
    ("written", "read"),
    [
        ("sops decrypt prod.env", Program(("sops", "decrypt", "prod.env"))),
        ("./secrets.sh", Program(("./secrets.sh",))),
        ("[sops, a b, 3, yes]", Program(("sops", "a b", "3", "yes"))),
        ("{command: vault, format: json, timeout: 5, inherit: VAULT_TOKEN}", Program(("vault",), "json", 5, ("VAULT_TOKEN",))),
        ("{command: [a], inherit: [B, C]}", Program(("a",), inherit=("B", "C"))),
        ("[]", None),
        ("", None),
    ],
)  # fmt: skip
def test_env_from_is_a_text_list_or_map(tmp_path: Path, written: str, read: Program | None):
    (tmp_path / "container-pipeline.yml").write_text(f"code: a-b\nenv_from: {written}\n")
    assert load(tmp_path, {}, environ={}).values.env_from == read


@table(
    ("written", "problem"),
    [
        ("sops decrypt $FILE", "looks like a line for a shell"),
        ("cat a | b", "looks like a line for a shell"),
        ("\"echo 'A=1'\"", "looks like a line for a shell"),
        ("{comand: a}", "unknown key 'comand'"),
        ("{format: json}", "has no command"),
        ("{command: []}", "has no command"),
        ("{command: {a: b}}", "must be a list of texts"),
        ("{command: a, format: yaml}", "env_from (container-pipeline.yml).format is 'yaml'"),
        ("{command: a, timeout: 0}", "must be a whole number"),
        ("{command: a, timeout: soon}", "must be a whole number"),
        ("{command: a, inherit: [A=b]}", "holds something else than names of variables"),
        ("{command: a, inherit: {A: b}}", "must be a list"),
        ("[[a]]", "must be a list of texts"),
        ("[a, {b: c}]", "must be a list of texts"),
        ("['', a]", "begins with an empty text"),
    ],
)
def test_invalid_env_from_is_refused_by_name(tmp_path: Path, written: str, problem: str):
    (tmp_path / "container-pipeline.yml").write_text(f"code: a-b\nenv_from: {written}\n")
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, {}, environ={})
    assert problem in refused.value.message
    assert "env_from" in refused.value.message


def test_the_stronger_source_of_env_wins(tmp_path: Path):
    file = tmp_path / "container-pipeline.yml"
    file.write_text(
        "code: a-b\nenv_from: [a]\nenvironments: {dev: {env_file: dev.env}, test: {env_from: []}, prod: {env_from: [b]}}\n"
    )
    commands = {}
    for name in ("", "dev", "test", "prod"):
        program = load(tmp_path, {}, name, environ={}).values.env_from
        commands[name] = program.command if program else None
    assert commands == {"": ("a",), "dev": None, "test": None, "prod": ("b",)}
    variable = {"CONTAINER_PIPELINE_ENV_FILE": "/run/secret.env"}
    assert load(tmp_path, {}, "prod", environ=variable).values.env_from is None
    program = load(tmp_path, {}, environ={"CONTAINER_PIPELINE_ENV_FROM": '["c", "d e"]'}).values.env_from
    assert program == Program(("c", "d e"))
    assert load(tmp_path, {"env_file": "mine.env"}, environ={}).values.env_from is None
    file.write_text("code: a-b\nenv_from: [a]\nenv_file: .env.prod\n")
    with pytest.raises(SettingsError, match=r"env_file and env_from are both set \(container-pipeline.yml\)"):
        load(tmp_path, {}, environ={})
