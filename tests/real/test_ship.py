"""The standard flow as a command: build, push, promote, deploy, on real parts."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest

from container_pipeline.__main__ import main
from lab import ask
from lab.faultproxy import Fault
from lab.watcher import ArgvWatcher

AGENT = Path(__file__).parents[2] / "agent"
SIX = [f"DOCKER_REGISTRY{prod}{part}" for prod in ("", "_PROD") for part in ("", "_USER", "_PASS")]


@pytest.fixture
def process(lab, project):
    """process(*words, **environment) → the finished process of `container-pipeline WORDS` in the project's folder."""

    def call(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        environ = lab.environment(PYTHONPATH=str(AGENT), CONTAINER_PIPELINE_SETTLE="1", **environment)
        command = [sys.executable, "-m", "container_pipeline", *words]
        return subprocess.run(command, cwd=project.folder, env=environ, capture_output=True, text=True, timeout=120)

    return call


@pytest.fixture
def agent(lab, project, monkeypatch, capsys):
    """agent(*words, **environment) → the same, in this process."""

    def call(*words: str, without: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        environ = lab.environment(CONTAINER_PIPELINE_SETTLE="1", LC_ALL="C.UTF-8", **environment)
        environ.pop(without, None)
        capsys.readouterr()
        with monkeypatch.context() as patch:
            for name in [*os.environ]:
                patch.delenv(name)
            for name, value in environ.items():
                patch.setenv(name, value)
            patch.chdir(project.folder)
            code = main([*words])
        out, err = capsys.readouterr()
        return subprocess.CompletedProcess(words, code, out, err)

    return call


def test_ship_takes_each_version_from_folder_to_servers(lab, registry_factory, project, process, fault_proxy, tmp_path):
    """Three versions of one project: the first arrives, the second replaces it on one server, the third stays out.

    Between registries of its own: other tests run docker.sh beside it, which shows the lab's passwords.
    """
    development, production = registry_factory(), registry_factory()
    proxy, logins = fault_proxy(production.address), {}
    for prefix, one, address in (
        ("DOCKER_REGISTRY", development, development.address),
        ("DOCKER_REGISTRY_PROD", production, proxy.address),
    ):
        logins |= {prefix: address, f"{prefix}_USER": one.user, f"{prefix}_PASS": one.password}

    def ship(*words: str) -> subprocess.CompletedProcess[str]:
        return process("ship", "--code", project.code, "--json", "-v", *words, HOME=str(tmp_path), **logins)

    passwords = [development.password, production.password]
    with ArgvWatcher(passwords) as watcher:
        done = ship()
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    first, digest = answer["version"], answer["digest"]
    for one in (development, production):
        assert ask.tags(one, project.code) == sorted([first, "latest"])
        assert ask.digest(one, project.code, first) == ask.digest(one, project.code, "latest") == digest
    assert [(server["name"], server["status"], server["version"]) for server in answer["servers"]] == [
        ("server-1", "ok", first),
        ("server-2", "ok", first),
    ]
    for server in lab.servers:
        assert server.get(project.port) == {"version": first, "env": "test", "text": "hello"}
        image = server.docker("inspect", "--format", "{{.Config.Image}}", project.code).strip()
        assert image == f"{proxy.address}/{project.code}:{first}"

    # No password was in an argument, a log or a file.
    assert watcher.seen == []
    encoded = [base64.b64encode(word.encode()).decode().rstrip("=") for word in passwords]
    assert not [word for word in [*passwords, *encoded, *map(quote, passwords)] if word in done.stdout + done.stderr]
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size < 1_000_000]
    assert not [path for path in left for word in passwords if word.encode() in path.read_bytes()]
    assert not (tmp_path / ".docker" / "config.json").exists()

    project.say("changed")
    project.write("container-pipeline.yml", "release: exit 9\n")
    second = json.loads(ship("--no-release", "--server", "server-1").stdout)["version"]
    assert second > first
    assert [server.get(project.port)["text"] for server in lab.servers] == ["changed", "hello"]
    assert set(ask.tags(production, project.code)) == {first, second, "latest"}

    # The production registry stops during the promotion: servers keep what they run.
    project.say("never seen")
    upload = Fault("PUT", "/blobs/uploads/", delay=0.5)
    proxy.faults.append(upload)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(ship, "--no-release")
        while not upload.seen and not running.done():
            time.sleep(0.01)
        production.stop()
        done = running.result()
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("container-pipeline: ")
    assert proxy.address in last
    assert [server.get(project.port)["text"] for server in lab.servers] == ["changed", "hello"]
    production.start()
    assert ask.tags(production, project.code) == sorted([first, second, "latest"])


def test_the_watcher_sees_a_password_in_an_argument():
    with ArgvWatcher(["hunter2-canary"]) as watcher:
        subprocess.run([sys.executable, "-c", "import time; time.sleep(0.2)", "hunter2-canary"], check=True)
    assert len(watcher.seen) == 1


def test_bad_input_is_refused_before_anything_is_touched(agent, project):
    for words, sentence in (
        ([], "no project code is set"),
        (["--code", "../x"], "'../x' is not a project code"),
        (["--code", "-o"], "'-o' is not a project code"),
        (["--code", "A B"], "'A B' is not a project code"),
        (["--code", "app", "--server", "-oProxyCommand=x"], "'-oProxyCommand=x' is not a server"),
        (["--code", "app", "--namespace", "Team"], "is not an image name"),
        (["--code", "app", "--project", "/nowhere"], "project folder /nowhere does not exist"),
    ):
        refused(agent("ship", *words), project, sentence)
    # Each missing variable is named.
    for variable in SIX[:3] + SIX[4:]:
        refused(agent("ship", "--code", project.code, without=variable), project, f"{variable} is not set")
    project.write("container-pipeline.yml", "serves: [a]\n")
    refused(agent("ship", "--code", project.code), project, "unknown key 'serves'")
    os.unlink(project.folder / "container-pipeline.yml")
    os.unlink(project.folder / "Dockerfile")
    refused(agent("ship", "--code", project.code), project, "Dockerfile")


def test_ship_asks_for_approval_and_for_an_environment(agent, project):
    project.write("container-pipeline.yml", "approve: true\n")
    done = agent("ship", "--code", project.code)
    assert (done.returncode, "pass --yes to approve" in done.stderr) == (2, True), done.stderr
    planned = agent("ship", "--code", project.code, "--yes", "--dry-run")
    # In development, then in production.
    assert (planned.stdout + planned.stderr).count(":latest at ") == 2
    assert (planned.returncode, "promote " in planned.stdout) == (0, True), planned.stderr
    project.write(
        "container-pipeline.yml",
        "environments: {test: {servers: [server-1], registry: development}, prod: {servers: [server-2]}}\n",
    )
    for command in ("ship", "deploy", "status"):
        refused(agent(command, "--code", project.code), project, "belong to environments: test, prod")
    planned = agent("ship", "--code", project.code, "--environment", "test", "--dry-run")
    assert "promote " not in planned.stdout
    assert "Promote: skipped; test pulls from the development registry" in planned.stderr
    planned = agent("ship", "--code", project.code, "--environment", "prod", "--dry-run")
    assert ("promote " in planned.stdout, "server-1" in planned.stdout) == (True, False)


def test_what_does_not_apply_is_absent_and_said(lab, project, agent):
    planned = agent("ship", "--code", project.code, "--dry-run")
    assert planned.returncode == 0, planned.stderr
    for verb in ("build", "push", "promote", "deploy"):
        assert verb in planned.stdout
    assert not list(project.folder.glob(".docker_build*"))
    assert ask.tags(lab.development, project.code) == []
    done = agent(
        "ship", "--code", project.code, "--json", without="DOCKER_REGISTRY_PROD", CONTAINER_PIPELINE_DEFAULT_SERVERS=""
    )
    assert done.returncode == 0, done.stderr
    assert [step["name"] for step in json.loads(done.stdout)["steps"]] == ["build", "push", "tag", "move-tag"]
    assert "Promote: skipped; no production registry is set (DOCKER_REGISTRY_PROD)" in done.stderr
    assert "Deploy: skipped; no servers are set" in done.stderr
    assert ask.tags(lab.production, project.code) == []


def test_multibranch_job_publishes_only_what_branches_allows(lab, project, agent):
    project.write("container-pipeline.yml", "environments: {test: {registry: development, branches: develop}}\n")
    nowhere = {"CONTAINER_PIPELINE_DEFAULT_SERVERS": "server.invalid", "BRANCH_NAME": "feature/cart"}
    built = agent("ship", "--code", project.code, "--json", without="DOCKER_REGISTRY_PASS", **nowhere)
    assert built.returncode == 0, built.stderr
    assert [step["name"] for step in json.loads(built.stdout)["steps"]] == ["build"]
    assert "build only: `branches` does not include branch feature/cart" in built.stderr
    assert ask.tags(lab.development, project.code) == []
    words = ("ship", "--code", project.code, "--environment", "test", "--server", "server-1", "--json")
    pushed = agent(*words, BRANCH_NAME="develop")
    assert pushed.returncode == 0, pushed.stderr
    version = json.loads(pushed.stdout)["version"]
    assert ask.tags(lab.development, project.code) == [version]
    assert ask.tags(lab.production, project.code) == []
    assert lab.servers[0].get(project.port)["version"] == version


def refused(done: subprocess.CompletedProcess[str], project, sentence: str) -> None:
    """Check for exit code 1, one sentence with a hint as the last line, and no build."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert sentence in done.stderr.strip().splitlines()[-1]
    assert not list(project.folder.glob(".docker_build*"))
