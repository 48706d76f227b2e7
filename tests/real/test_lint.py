"""lint as a command: findings of other programs, repairs, reports, exit codes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from container_pipeline.__main__ import main
from lab.handle import Lab

EXAMPLE = Path(__file__).parents[2] / "examples/aglaia-web-re"
TOOLS = Path(sys.executable).parent


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the example project, where no variable of this machine says anything."""
    for name in ("DOCKER_REGISTRY", "DOCKER_REGISTRY_PROD", "CONTAINER_PIPELINE_SERVERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LC_ALL", "C")
    return Path(shutil.copytree(EXAMPLE, tmp_path / "example"))


@pytest.fixture
def hadolint(monkeypatch: pytest.MonkeyPatch) -> None:
    """hadolint on PATH, from the packages that tests are made of."""
    assert (TOOLS / "hadolint").exists()
    monkeypatch.setenv("PATH", str(TOOLS), prepend=":")


def change(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))


@pytest.mark.usefixtures("hadolint")
def test_the_example_project_has_no_finding(example: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["lint", "--project", str(example)]) == 0, capsys.readouterr().out
    assert capsys.readouterr().err == "the project follows the convention\n"


def test_lint_prints_editor_readable_findings_and_exits_1(example: Path, capsys: pytest.CaptureFixture[str]):
    change(example, "Dockerfile", "python:3.11-slim", "python")
    assert main(["lint", "--project", str(example)]) == 1
    shown = capsys.readouterr()
    assert shown.out.startswith("Dockerfile:1: CP102 base image python is not pinned to a version — use a tag")
    assert f"findings in {example}: 1" in shown.err


def test_an_unknown_format_is_usage(example: Path):
    assert main(["lint", "--format", "yaml", "--project", str(example)]) == 2


def test_lint_fix_repairs_files_and_leaves_no_findings(example: Path, capsys: pytest.CaptureFixture[str]):
    change(example, "docker-compose.yml", "    restart: unless-stopped\n", "")
    change(example, "docker-compose.yml", "    hostname: aglaia-web-re\n", "")
    change(example, "Dockerfile", 'ENTRYPOINT ["python", "/myapps/app.py"]', "ENTRYPOINT python /myapps/app.py")
    (example / "Dockerfile").chmod(0o640)
    assert main(["lint", "--fix", "--project", str(example)]) == 0, capsys.readouterr().out
    assert "ENTRYPOINT [" in (example / "Dockerfile").read_text()
    assert (example / "Dockerfile").stat().st_mode & 0o777 == 0o640
    assert "restart: unless-stopped" in (example / "docker-compose.yml").read_text()


def test_lint_fix_dry_run_prints_diff_without_changes(example: Path, capsys: pytest.CaptureFixture[str]):
    change(example, "docker-compose.yml", "unless-stopped", "on-failure")
    before = (example / "docker-compose.yml").read_text()
    assert main(["lint", "--fix", "--dry-run", "--project", str(example)]) == 1
    assert "-    restart: on-failure\n+    restart: unless-stopped" in capsys.readouterr().out
    assert (example / "docker-compose.yml").read_text() == before


def test_composes_own_parser_decides_what_is_valid(
    lab: Lab, example: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("PATH", lab.environment()["PATH"])
    change(example, "docker-compose.yml", "    ports:\n", "    prots:\n")
    assert main(["lint", "--project", str(example)]) == 1
    out = capsys.readouterr().out
    assert "CP200" in out
    assert "prots" in out


@pytest.mark.usefixtures("hadolint")
def test_hadolint_tells_more_where_it_is_there(example: Path, capsys: pytest.CaptureFixture[str]):
    change(example, "Dockerfile", "ADD . .", "ADD . .\nRUN cd /tmp && ls")
    assert main(["lint", "--project", str(example)]) == 1
    assert "Dockerfile:7: DL3003" in capsys.readouterr().out


@pytest.mark.usefixtures("hadolint")
def test_one_comment_turns_off_rules_of_both(example: Path):
    change(
        example,
        "Dockerfile",
        "ADD . .",
        "ADD . .\n# container-pipeline: ignore DL3003, CP122\nRUN cd /tmp && pip install x==1",
    )
    assert main(["lint", "--project", str(example)]) == 0


def test_what_git_has_and_should_not_is_found(example: Path, capsys: pytest.CaptureFixture[str]):
    (example / ".env").write_text("ENV=dev\nDB_PASSWORD=t0ps3cret\n")
    (example / ".docker_build_version").write_text("20261124093015\n")
    assert main(["lint", "--project", str(example)]) == 0, capsys.readouterr().out
    subprocess.run(["git", "init", "-q", "."], cwd=example, check=True)
    subprocess.run(["git", "add", "-f", "."], cwd=example, check=True)
    assert main(["lint", "--project", str(example)]) == 1
    out = capsys.readouterr().out
    assert ".env:2: CP305" in out
    assert "CP601 git tracks .docker_build_version" in out
    assert "t0ps3cret" not in out


def test_findings_are_in_the_json_result(example: Path, capsys: pytest.CaptureFixture[str]):
    change(example, "Dockerfile", "python:3.11-slim", "python")
    assert main(["lint", "--json", "--project", str(example)]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["ok"], answer["error"]["category"], answer["code"]) == (False, "checks", "aglaia-web-re")
    assert [(one["rule"], one["file"], one["line"]) for one in answer["findings"]] == [("CP102", "Dockerfile", 1)]


def test_reports_on_stdout_are_complete_even_without_findings(example: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["lint", "--format", "sarif", "--project", str(example)]) == 0
    assert json.loads(capsys.readouterr().out)["runs"][0]["results"] == []
    assert main(["lint", "--format", "junit", "--project", str(example)]) == 0
    assert ElementTree.fromstring(capsys.readouterr().out).get("failures") == "0"
