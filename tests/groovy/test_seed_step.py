"""containerSeed from inside Jenkins: the step on its interpreter, the agent on the node, a login from its credentials."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from seed.standin import Standin

CREDENTIALS = {"seeder": {"type": "usernamePassword", "username": "admin", "password": "api-token-canary"}}
STEP = "node { checkout scm; containerSeed(jobs: 'jobs.yml', WORDScredentials: [jenkins: 'seeder']) }"


@pytest.fixture
def seeded():
    one = Standin(user="admin", token="api-token-canary")
    yield one
    one.close()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "jobs"
    folder.mkdir()
    text = "name: team\nprojects:\n- {code: aglaia-web-re, repository: 'git@git.example:team/aglaia-web-re.git'}\n"
    (folder / "jobs.yml").write_text(text)
    for words in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    return folder


@pytest.fixture
def step(build, node, repository, seeded):
    """step(words) → the run of a Jenkinsfile that seeds."""
    node.environment["JENKINS_URL"] = seeded.url

    def run(words: str = ""):
        return build(STEP.replace("WORDS", words), scm=str(repository), credentials=CREDENTIALS)

    return run


def test_a_dry_run_lists_changes_without_applying_them(step, seeded):
    done = step("dryRun: true, ")
    assert done.result == "SUCCESS", done.log
    assert "aglaia-web-re" in done.log
    assert not seeded.state.items


def test_jobs_are_created_once_without_exposing_the_token(step, seeded):
    first = step()
    assert first.result == "SUCCESS", first.log
    assert "aglaia-web-re" in seeded.state.items
    written = len(seeded.writes)
    assert step("yes: true, ").result == "SUCCESS"
    assert len(seeded.writes) == written > 0
    assert "api-token-canary" not in first.log
