"""What programs that lint asks get to know."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from container_pipeline.clients import children, linters


@pytest.mark.parametrize("program", ["docker", "hadolint", "git"])
def test_lint_hides_secrets_from_programs_it_runs(tmp_path, monkeypatch, program):
    script = tmp_path / program
    script.write_text(f"#!/bin/sh\n/usr/bin/env > {tmp_path}/seen\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("VERSION", "of the compose file")
    for name in ("DOCKER_REGISTRY_PASS", "DOCKER_REGISTRY_PROD_PASS", "JENKINS_TOKEN", "CONTAINER_PIPELINE_BUILD_ARGS"):
        monkeypatch.setenv(name, "very secret")
    linters.compose_problem(tmp_path, "docker-compose.yml")
    linters.hadolint(tmp_path, "Dockerfile")
    linters.tracked(tmp_path, [".env"])
    seen = (tmp_path / "seen").read_text()
    assert "VERSION=of the compose file" in seen
    assert "very secret" not in seen


@pytest.mark.parametrize("body", ["sleep 600 & sleep 600", "sleep 600 & echo $! >child; while :; do echo x; done"])
def test_lint_kills_hung_program_and_its_children(tmp_path, monkeypatch, body):
    script = tmp_path / "hadolint"
    script.write_text(f"#!/bin/sh\necho $$ >group\n{body}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(children, "TIMEOUT", 0.5)
    assert linters.hadolint(tmp_path, "Dockerfile") == []
    group = int((tmp_path / "group").read_text())
    for _turn in range(100):  # the system takes a moment to bury them
        left = [stat for stat in Path("/proc").glob("[0-9]*/stat") if _group(stat) == group]
        if not left:
            return
        time.sleep(0.05)
    raise AssertionError(left)


def _group(stat: Path) -> int:
    """Return the process group of a process that lives, 0 of one that is gone or dead."""
    try:
        state, _parent, group, *_rest = stat.read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if state == "Z" else int(group)


@pytest.mark.parametrize(
    "said", ["[" * 100_000, "{}", "[7]", '[{"code": 7}]', '[{"code": "DL1", "level": "error"}]', "\\0"]
)
def test_what_a_program_says_is_checked(tmp_path, monkeypatch, said):
    script = tmp_path / "hadolint"
    (tmp_path / "said").write_text(said)
    script.write_text("#!/bin/sh\ncat said\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert all(finding.line == 1 for finding in linters.hadolint(tmp_path, "Dockerfile"))
