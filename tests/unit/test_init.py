"""init writes files without lint findings, and overwrites none."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from container_pipeline.__main__ import main
from container_pipeline.keys import KEYS
from container_pipeline.plan import lint
from container_pipeline.plan.init import project_file
from container_pipeline.settings import load

SHAPES = Path(__file__).parents[1] / "real/shapes"
WRITTEN = {
    "Dockerfile",
    ".dockerignore",
    ".env",
    "docker-compose.yml",
    "Jenkinsfile",
    "container-pipeline.yml",
    ".gitignore",
}


@pytest.fixture(autouse=True)
def no_registry(monkeypatch):
    for name in ("DOCKER_REGISTRY", "CONTAINER_PIPELINE_SERVERS"):
        monkeypatch.delenv(name, raising=False)


def judge(folder: Path) -> list[str]:
    """What lint's own rules say, without the programs that this machine may have."""
    from container_pipeline.commands.start.lint import read

    return [str(one) for one in lint.check(read(load(folder, {})))]


@pytest.mark.parametrize("shape", sorted(path.name for path in SHAPES.iterdir()))
def test_what_init_writes_follows_the_convention(tmp_path, shape, capsys):
    folder = shutil.copytree(SHAPES / shape, tmp_path / "Shop_Web")
    before = {path.name for path in folder.iterdir()}
    assert main(["init", "--project", str(folder)]) == 0
    assert {path.name for path in folder.iterdir()} - before == WRITTEN
    assert judge(folder) == []
    assert load(folder, {}).values.code == "shop-web"


def test_init_refuses_a_folder_without_a_python_project(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("no Python here\n")
    assert main(["init", "--project", str(tmp_path)]) == 1
    assert "contains no Python project — init looks for requirements.txt" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_init_keeps_existing_files_and_shows_the_difference(tmp_path, capsys):
    folder = shutil.copytree(SHAPES / "plain", tmp_path / "plain")
    (folder / "Dockerfile").write_text("FROM python:3.8\n")
    assert main(["init", "--project", str(folder)]) == 0
    shown = capsys.readouterr()
    assert "-FROM python:3.8" in shown.out
    assert "kept Dockerfile" in shown.err
    assert (folder / "Dockerfile").read_text() == "FROM python:3.8\n"
    assert (folder / "Jenkinsfile").exists()


def test_init_reports_findings_in_chinese_for_chinese_locales(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert main(["init", "--dry-run", "--project", str(shutil.copytree(SHAPES / "fastapi", tmp_path / "shop"))]) == 0
    assert "端口 8080" in capsys.readouterr().err


def test_force_replaces_what_differs(tmp_path, capsys):
    folder = shutil.copytree(SHAPES / "plain", tmp_path / "plain")
    (folder / "Dockerfile").write_text("FROM python:3.8\n")
    main(["init", "--project", str(folder)])
    assert "kept Dockerfile: it differs; --force replaces it" in capsys.readouterr().err
    assert main(["init", "--force", "--project", str(folder)]) == 0
    assert "FROM python:3.8\n" not in (folder / "Dockerfile").read_text()


def test_git_ignores_secrets_and_build_state_after_init(tmp_path):
    folder = shutil.copytree(SHAPES / "plain", tmp_path / "plain")
    (folder / ".gitignore").write_text("node_modules\n.venv")
    assert main(["init", "--project", str(folder)]) == 0
    assert (folder / ".gitignore").read_text().startswith("node_modules\n.venv\n.env\n")
    for name in (".env.prod", ".docker_build_version", ".docker_build_image", ".docker_build.json"):
        (folder / name).write_text("")
    for words in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    added = subprocess.run(
        ["git", "-C", str(folder), "ls-files"], check=True, capture_output=True, text=True
    ).stdout.split()
    assert [name for name in added if name.startswith((".env", ".docker_build"))] == []
    assert "Dockerfile" in added


def test_init_reports_a_code_derived_from_folder_name(tmp_path, capsys):
    folder = shutil.copytree(SHAPES / "plain", tmp_path / "My_Shop")
    main(["init", "--project", str(folder)])
    assert "project code: my-shop; pass --code CODE for a different one" in capsys.readouterr().err
    main(["init", "--code", "shop", "--dry-run", "--project", str(folder)])
    assert "for a different one" not in capsys.readouterr().err


def test_http_health_check_covers_only_the_web_service(tmp_path):
    folder = shutil.copytree(SHAPES / "flask-requirements", tmp_path / "shop")
    main(["init", "--project", str(folder)])
    assert "HEALTHCHECK" not in (folder / "Dockerfile").read_text()
    service = yaml.safe_load((folder / "docker-compose.yml").read_text())["services"]["shop"]
    assert "HTTPConnection" in service["healthcheck"]["test"][-1]
    assert "--preload" in (folder / "Dockerfile").read_text()


def test_a_second_init_changes_nothing(tmp_path, capsys):
    folder = shutil.copytree(SHAPES / "plain", tmp_path / "plain")
    main(["init", "--project", str(folder)])
    capsys.readouterr()
    assert main(["init", "--project", str(folder)]) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Dockerfile is up to date" in shown.err


def test_a_dry_run_writes_nothing(tmp_path, capsys):
    folder = shutil.copytree(SHAPES / "plain", tmp_path / "plain")
    assert main(["init", "--dry-run", "--project", str(folder)]) == 0
    assert "write Dockerfile" in capsys.readouterr().out
    assert [path.name for path in folder.iterdir()] == ["serve.py"]


def test_env_is_private_from_its_creation(tmp_path):
    folder = shutil.copytree(SHAPES / "plain", tmp_path / "plain")
    main(["init", "--project", str(folder)])
    assert (folder / ".env").stat().st_mode & 0o777 == 0o600


def test_init_keeps_existing_env_file_without_printing_it(tmp_path, capsys):
    folder = shutil.copytree(SHAPES / "plain", tmp_path / "plain")
    (folder / ".env").write_text("ENV=dev\nDB_PASSWORD=t0ps3cret\n")
    assert main(["init", "--project", str(folder)]) == 0
    shown = capsys.readouterr()
    assert "t0ps3cret" not in shown.out + shown.err
    assert "kept .env" in shown.err
    assert "t0ps3cret" in (folder / ".env").read_text()


def test_project_file_shows_every_key_with_its_default(tmp_path):
    text = project_file({"code": "shop-web-re"})
    values = {}
    for key in KEYS:
        line = next(line for line in text.splitlines() if line.lstrip("# ").startswith(f"{key.name}: "))
        values.update(yaml.safe_load(line.lstrip("# ")))
    assert list(values) == [key.name for key in KEYS]
    (tmp_path / "container-pipeline.yml").write_text(yaml.safe_dump(values))
    loaded = load(tmp_path, {}, environ={}).values
    assert {key.name: getattr(loaded, key.name) for key in KEYS[1:]} == {
        key.name: load_default(key) for key in KEYS[1:]
    }


def load_default(key):
    return tuple(key.default) if isinstance(key.default, (list, tuple)) else key.default
