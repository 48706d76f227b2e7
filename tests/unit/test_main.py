"""An exception becomes one line and an exit code, and JSON where it is asked for."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys

import pytest

from container_pipeline.__main__ import main
from container_pipeline.result import Images
from unit.table import table


def test_no_command_is_usage(capsys):
    assert main([]) == 2
    assert "Usage:" in capsys.readouterr().err


def test_an_unknown_command_names_the_nearest(capsys):
    assert main(["dploy"]) == 2
    assert "unknown command 'dploy': did you mean deploy?" in capsys.readouterr().err


@table(("typed", "meant"), [("ps", "status"), ("stop", "down"), ("start", "up"), ("undo", "rollback")])
def test_a_word_of_another_tool_leads_to_ours(typed, meant, capsys):
    assert main([typed]) == 2
    assert f"unknown command '{typed}': did you mean {meant}?" in capsys.readouterr().err


def test_a_version_without_its_option_leads_to_it(capsys):
    assert main(["deploy", "20261127154723"]) == 2
    assert "did you mean --version 20261127154723?" in capsys.readouterr().err
    assert main(["status", "20261127154723"]) == 2
    assert "did you mean" not in capsys.readouterr().err


def test_options_before_the_command_are_explained(capsys):
    assert main(["--code", "shop", "status"]) == 2
    assert "options come after the command: container-pipeline COMMAND --code …" in capsys.readouterr().err


def test_down_without_a_terminal_shows_no_usage(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(["down", "--code", "a-b", "--server", "web-1", "--project", str(tmp_path)]) == 2
    shown = capsys.readouterr().err
    assert "down stops the service on web-1 — pass --yes to confirm" in shown
    assert "Usage" not in shown


@pytest.mark.parametrize("names", [[], ["package.json", "Jenkinsfile"]], ids=["empty", "other files"])
def test_lint_of_nothing_is_no_success(names, capsys, tmp_path):
    for name in names:
        (tmp_path / name).write_text("containerPipeline(code: 'a-b')\n")
    assert main(["lint", "--project", str(tmp_path)]) == 1
    assert "has no Dockerfile and no Compose file: nothing to check" in capsys.readouterr().err


def test_help_lists_common_commands_first_and_legacy_last(capsys):
    main(["--help"])
    shown = re.findall(r"^  ([a-z][a-z-]+)  ", capsys.readouterr().out, re.M)
    assert shown[:4] == ["ship", "deploy", "rollback", "status"]
    assert shown[-1] == "pipeline-all-rebuild"


def test_an_unknown_command_answers_json_where_asked(capsys):
    assert main(["dploy", "--json"]) == 2
    out = capsys.readouterr().out
    answer = json.loads(out)
    assert (answer["schema"], answer["ok"], answer["error"]["category"]) == (2, False, "usage")


def test_help_lists_every_command_and_imports_nothing_heavy():
    code = (
        "import sys\nfrom container_pipeline.__main__ import main\nmain(['--help'])\n"
        "print([m for m in ('docker', 'requests', 'rich', 'yaml', 'jenkins') if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ(), check=True)
    assert done.stderr.strip() == "[]"
    for command in ("pipeline-all-rebuild", "promote", "rollback", "seed", "doctor"):
        assert command in done.stdout


def test_signal_just_before_a_blocking_call_ends_it():
    code = (
        "import os, signal, threading\nfrom container_pipeline import __main__ as program\n"
        "def job(*_given):\n"
        # As seen by the main thread: its call blocks, and the signal did not interrupt it.
        "    threading.Timer(0.3, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM)).start()\n"
        "    os.read(os.pipe()[0], 1)\n"
        "program._run = job\nprogram.run()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ(), timeout=60)
    assert (done.returncode, done.stderr) == (143, "container-pipeline: terminated\n")


@pytest.mark.parametrize("language", ["en_US.UTF-8", "zh_CN.UTF-8"])
def test_unexpected_error_prints_one_line_and_exits_1(monkeypatch, capsys, language):
    from container_pipeline import cli

    def broken(*_args, **_kwargs):
        raise ZeroDivisionError("oh\nno")

    monkeypatch.setenv("LC_ALL", language)
    monkeypatch.setattr(cli, "main", broken)
    assert main(["build"]) == 1
    error = capsys.readouterr().err
    assert "ZeroDivisionError: oh" in error
    assert len(error.splitlines()) == 1


def environ(**extra):
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **extra}


CHINESE = {
    "help": ["--help"],
    "an unknown option": ["build", "--nope"],
    "too many arguments": ["build", "a", "b"],
    "no number": ["logs", "--tail", "many"],
    "no file": ["seed", "--from-scm-list", "/nowhere"],
}


@pytest.fixture(scope="module")
def chinese():
    """What each command line of CHINESE shows: (exit code, stdout, stderr), in a process whose terminal speaks Chinese."""
    code = (
        "import contextlib, io, json, sys\nfrom container_pipeline.__main__ import main\nshown = []\n"
        "for line in json.loads(sys.argv[1]):\n"
        "    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:\n"
        "        code = main(line)\n"
        "    shown.append((code, out.getvalue(), err.getvalue()))\n"
        "print(json.dumps(shown))"
    )
    command = [sys.executable, "-c", code, json.dumps([*CHINESE.values()])]
    done = subprocess.run(command, capture_output=True, env=environ(LC_ALL="zh_CN.UTF-8", PYTHONUTF8="1"), check=True)
    return dict(zip(CHINESE, json.loads(done.stdout)))


def test_help_is_chinese_where_the_user_is(chinese):
    code, out, _err = chinese["help"]
    assert code == 0
    assert "构建镜像" in out
    assert [line for line in out.splitlines() if line and not re.search("[\u4e00-\u9fff]", line)] == []


@table("line", [name for name in CHINESE if name != "help"])
def test_usage_errors_are_chinese_where_the_user_is(line, chinese):
    code, _out, err = chinese[line]
    assert code == 2
    assert re.search("[\u4e00-\u9fff]", err.splitlines()[-1].partition(" — ")[0])
    assert not re.search("Usage|exist|integer", err)


def test_json_redacts_secrets_in_values_but_not_keys(monkeypatch, capsys, tmp_path):
    from container_pipeline.commands.registry import images
    from container_pipeline.errors import RegistryError

    passwords = {"DOCKER_REGISTRY": 'p"ss\\w', "DOCKER_REGISTRY_PROD": "version"}
    for prefix, password in passwords.items():
        monkeypatch.setenv(prefix, "r.example")
        monkeypatch.setenv(f"{prefix}_USER", "me")
        monkeypatch.setenv(f"{prefix}_PASS", password)
    monkeypatch.setenv("JENKINS_URL", "https://ci.example")
    monkeypatch.setenv("JENKINS_USER", "ci")
    monkeypatch.setenv("JENKINS_TOKEN", "11abc")
    logins = ['me:p"ss\\w', "me:version", "ci:11abc"]
    tokens = [base64.b64encode(login.encode()).decode() for login in logins]

    def fails(run, **_given):
        run.result.add(Images(images=[{"size": 1, "said": passwords["DOCKER_REGISTRY"]}]))
        raise RegistryError("refused", details=[f"<{text}>" for text in (*passwords.values(), *tokens)])

    monkeypatch.setattr(images, "run", fails)
    assert main(["images", "--json", "--project", str(tmp_path)]) == 1
    shown, said = capsys.readouterr()
    answer = json.loads(shown)
    assert answer["images"] == [{"size": 1, "said": "***"}]
    assert "version" in answer
    hidden = answer["error"]["details"]
    assert said.splitlines()[: len(hidden)] == hidden
    for text in (*passwords.values(), *(token.rstrip("=") for token in tokens)):
        assert text not in "".join(hidden)
