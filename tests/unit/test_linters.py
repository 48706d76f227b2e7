"""What programs that lint asks get to know."""

from __future__ import annotations

import pytest

from container_pipeline.clients import linters


@pytest.mark.parametrize("program", ["docker", "hadolint", "git"])
def test_a_program_that_lint_asks_gets_the_environment_without_our_secrets(tmp_path, monkeypatch, program):
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
