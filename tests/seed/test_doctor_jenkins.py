"""doctor's look at a real server."""

from __future__ import annotations

from pathlib import Path

from container_pipeline.commands.start.doctor_jenkins import checks
from container_pipeline.settings import load


def look(folder: Path, url: str) -> dict[str, tuple[bool | None, str]]:
    return {check.name: (check.ok, check.message) for check in checks(load(folder, {}, environ={"JENKINS_URL": url}))}


def test_doctor_checks_nodes_of_a_real_server(hudson, tmp_path):
    (tmp_path / "jobs.yml").write_text(
        "projects: [{code: a, repository: r, kind: freestyle, pipeline: {node: nowhere}}]\n"
    )
    seen = look(tmp_path, hudson.url)
    assert seen["Jenkins"][0] is True
    assert seen["node master"][0] in (True, False)
    assert "git" in seen["node master"][1]
    assert seen["label nowhere"] == (False, "no node has it")


def test_a_server_without_pipelines_is_told_so(hudson, tmp_path):
    (tmp_path / "jobs.yml").write_text("projects: [{code: a, repository: r}]\n")
    assert look(tmp_path, hudson.url)["plugins"] == (False, "missing: git (a), workflow-cps (a), workflow-job (a)")


def test_an_unreachable_server_is_one_failed_check(tmp_path):
    assert look(tmp_path, "http://127.0.0.1:9").keys() == {"Jenkins"}
